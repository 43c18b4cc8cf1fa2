"""Shows numbers that are kept anyway, read whenever somebody looks: they cost a call nothing."""

from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

from opentelemetry.metrics import CallbackOptions, Meter, Observation

Labels: TypeAlias = Mapping[str, str]
Readings: TypeAlias = Iterable[tuple[float, Labels]]

_Callback: TypeAlias = Callable[[CallbackOptions], Iterable[Observation]]


class Gauges:
    """Makes observed instruments.

    Readers may look from a thread of their own: what they call must change nothing.
    """

    def __init__(self, meter: Meter) -> None:
        """Make them with `meter`."""
        self._meter = meter

    def number(self, name: str, read: Callable[[], float], *, description: str, unit: str = "") -> None:
        """Show what `read` returns."""
        self._meter.create_observable_gauge(name, [_one(read)], unit=unit, description=description)

    def numbers(self, name: str, read: Callable[[], Readings], *, description: str, unit: str = "") -> None:
        """Show what `read` returns, each number under its labels."""
        self._meter.create_observable_gauge(name, [_many(read)], unit=unit, description=description)

    def count(self, name: str, read: Callable[[], int], *, description: str, unit: str = "") -> None:
        """Show what `read` returns, which never falls."""
        self._meter.create_observable_counter(name, [_one(read)], unit=unit, description=description)

    def counts(self, name: str, read: Callable[[], Readings], *, description: str) -> None:
        """Show what `read` returns, each number under its labels; none of them ever falls."""
        self._meter.create_observable_counter(name, [_many(read)], description=description)


def _one(read: Callable[[], float]) -> _Callback:
    def observe(_options: CallbackOptions) -> Iterable[Observation]:
        return [Observation(read())]

    return observe


def _many(read: Callable[[], Readings]) -> _Callback:
    def observe(_options: CallbackOptions) -> Iterable[Observation]:
        return [Observation(value, labels) for value, labels in read()]

    return observe
