"""What is wrong with the models: which cannot be asked, and which are asked in vain."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import ceil

from penstockd.metrics.recent import Key
from penstockd.snapshot.sentences import percent, words
from penstockd.snapshot.shape import ModelRow, Problem
from penstockd.upstream import Blocked, CoolingDown, OutOfTime, QuotaSpent, ToolCalled

IN_VAIN = 0.5
"""The share of a model's attempts that come to nothing, from which on it is said."""
A_FEW = 3
"""Attempts of the last half minute that came to nothing; of fewer nothing is said."""
_BY_NOBODYS_FAULT = {each.reason for each in (Blocked, CoolingDown, OutOfTime, QuotaSpent, ToolCalled)}
"""Reasons that open no circuit, though the next caller may fare no better."""


def of_the_pool(models: Sequence[ModelRow]) -> Iterator[Problem]:
    """Whether there is none to ask."""
    if models and not any(_is_usable(model) for model in models):
        yield Problem("critical", "circuit", "pool", "No model can be used: every call that needs one fails.")


def of_models(models: Iterable[ModelRow], attempts: Mapping[Key, int]) -> Iterator[Problem]:
    """Those that cannot take calls, and those that do in vain; `attempts` of the last half minute, by model, reason."""
    for model in models:
        match model.state:
            case "open":
                probe = " Its next call probes it."
                if model.next_probe_in is not None:
                    probe = f" Next probe in {ceil(model.next_probe_in)} s."
                yield Problem(
                    "warning", "circuit", model.name, f"Model {model.name} is open: {words(model.cause)}.{probe}"
                )
            case "half_open":
                text = f"Model {model.name} is being probed after {words(model.cause)}."
                yield Problem("warning", "circuit", model.name, text)
            case "disabled":
                text = f"Model {model.name} was disabled by an operator."
                yield Problem("notice", "circuit", model.name, text)
            case _ if model.cooldown is not None:
                text = f"Model {model.name} is rate-limited upstream for {ceil(model.cooldown)} s more."
                yield Problem("warning", "circuit", model.name, text)
            case _:
                yield from _of_a_closed_one(model, attempts)


def _of_a_closed_one(model: ModelRow, attempts: Mapping[Key, int]) -> Iterator[Problem]:
    if model.in_flight >= model.max_in_flight:
        text = f"Model {model.name} is full: {model.in_flight} of {model.max_in_flight} in flight."
        yield Problem("warning", "circuit", model.name, text)
    lost = Counter(
        {
            reason: count
            for (name, reason), count in attempts.items()
            if name == model.name and reason in _BY_NOBODYS_FAULT
        }
    )
    if model.blameless >= IN_VAIN and lost.total() >= A_FEW:
        [(reason, count)] = lost.most_common(1)
        hangs = "; a `timeouts.total` well below its callers' deadlines opens it" if reason == OutOfTime.reason else ""
        text = (
            f"Model {model.name} is asked in vain: {percent(model.blameless)} of its attempts come to nothing by "
            f"nobody's fault, most with {words(reason)}, {count} in the last half minute. "
            f"No circuit opens for that: see `attempts` of `call finished`{hangs}."
        )
        yield Problem("warning", "attempts", model.name, text)


def _is_usable(model: ModelRow) -> bool:
    """Whether a call may be made of it, if only a probe."""
    is_let_in = model.state in {"closed", "half_open"} or (model.state == "open" and model.next_probe_in is None)
    return is_let_in and model.cooldown is None
