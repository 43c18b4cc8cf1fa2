"""In which order a call tries the models of a route."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import log
from operator import attrgetter
from typing import Protocol

from penstockd.model import Model

Random = Callable[[], float]
"""Draws from [0, 1)."""
UNHEARD = 1.0
"""Seconds that are expected of models where none was heard."""
FAILURE_WEIGHT = 10.0
"""How much slower a model counts for its failures: one that only fails, by 1 + this many times."""

_is_due = attrgetter("breaker.is_probe_due")


class Strategy(Protocol):
    """Orders models for one call, the one to try first in front."""

    def __call__(self, models: Sequence[Model], *, streams: bool) -> list[Model]:
        """Return `models`, for a stream or for a whole answer."""


@dataclass(frozen=True, slots=True)
class Route:
    """Models under a strategy. A model whose probe is due comes first under any: else it would never come back."""

    models: Sequence[Model]
    strategy: Strategy

    def order(self, *, streams: bool) -> list[Model]:
        """The models in the order in which one call, a stream or not, should try them."""
        return sorted(self.strategy(self.models, streams=streams), key=_is_due, reverse=True)


def priority(models: Sequence[Model], *, streams: bool) -> list[Model]:  # noqa: ARG001 - it is one order for all
    """As configured: the next one only where the one before cannot."""
    return list(models)


@dataclass(frozen=True, slots=True)
class Weighted:
    """Each model comes first as often as its share of the weights, and likewise among those left.

    Source: Efraimidis and Spirakis, "Weighted random sampling with a reservoir", 2006.
    """

    weights: Mapping[str, float]
    random: Random

    def __call__(self, models: Sequence[Model], *, streams: bool) -> list[Model]:  # noqa: ARG002 - shares are of all
        """Return `models`, drawn one by one without putting back."""
        return sorted(models, key=lambda model: -log(1 - self.random()) / self.weights[model.name])


@dataclass(frozen=True, slots=True)
class LeastLatency:
    """The better of two drawn at random, then the rest, best first: no herd runs to the one that looks best.

    Better is whose first token, or whose whole answer where that is asked, is expected sooner, counting what is queued
    and what would fail. A model of which none was heard is thought to be as fast as the fastest, and tried first among
    equals, until its circuit opens. One of which nothing came lately, though no circuit opens for that, comes last.

    Source: Mitzenmacher, "The power of two choices in randomized load balancing", 2001.
    """

    random: Random

    def __call__(self, models: Sequence[Model], *, streams: bool) -> list[Model]:
        """Return `models` by load."""
        if len(models) < 2:
            return list(models)
        latencies = [model.latency_of(streams=streams) for model in models]
        fastest = min((seconds for each in latencies if (seconds := each.expected) is not None), default=UNHEARD)
        rank = partial(self._rank, streams=streams, fastest=fastest)
        drawn = [model for model in models if not model.breaker.record.is_fruitless] or models
        first = int(self.random() * len(drawn))
        second = (first + 1 + int(self.random() * (len(drawn) - 1))) % len(drawn)
        best = min(drawn[first], drawn[second], key=rank)
        return [best, *sorted((model for model in models if model is not best), key=rank)]

    def _rank(self, model: Model, *, streams: bool, fastest: float) -> tuple[bool, float, bool]:
        """Whether it is no use, what is expected of it in seconds, and whether that is more than a guess."""
        expected, record = model.latency_of(streams=streams).expected, model.breaker.record
        load = 1.0 + model.permits.in_flight
        if expected is None:
            return record.is_fruitless, fastest * load, False
        return record.is_fruitless, expected * load * (1 + FAILURE_WEIGHT * record.futility), True
