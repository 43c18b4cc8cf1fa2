"""What the calls to a model came to lately."""

from penstockd.clock import Clock
from penstockd.resilience.rolling_count import RollingCount

SLOTS = 30


class Record:
    """Counts verdicts over a window of seconds, and attempts that came to nothing by no fault of the model."""

    def __init__(self, window: float, clock: Clock) -> None:
        self._clock = clock
        self._calls = RollingCount(window, SLOTS)
        self._failures = RollingCount(window, SLOTS)
        self._blameless = RollingCount(window, SLOTS)

    @property
    def verdicts(self) -> int:
        """How many calls were judged."""
        return self._calls.total(self._clock.monotonic())

    @property
    def error_rate(self) -> float:
        """Failures over all verdicts, 0 to 1; 0 without any."""
        calls = self.verdicts
        return self._failures.total(self._clock.monotonic()) / calls if calls else 0.0

    @property
    def futility(self) -> float:
        """The share of all that was asked of the model and came to nothing, 0 to 1, blame or no blame."""
        now = self._clock.monotonic()
        blameless = self._blameless.total(now)
        asked = self._calls.total(now) + blameless
        return (self._failures.total(now) + blameless) / asked if asked else 0.0

    @property
    def blameless_rate(self) -> float:
        """The share of all that was asked of the model and came to nothing by nobody's fault, 0 to 1."""
        blameless = self._blameless.total(self._clock.monotonic())
        return blameless / (self.verdicts + blameless) if blameless else 0.0

    @property
    def is_fruitless(self) -> bool:
        """Whether all that was asked of the model came to nothing by no fault that would open its circuit."""
        return self.blameless_rate == 1.0

    def succeeded(self) -> None:
        """Count a success."""
        self._calls.add(self._clock.monotonic())

    def failed(self) -> None:
        """Count a failure."""
        now = self._clock.monotonic()
        self._calls.add(now)
        self._failures.add(now)

    def came_to_nothing(self) -> None:
        """Count an attempt that is no verdict."""
        self._blameless.add(self._clock.monotonic())

    def clear(self) -> None:
        """Start afresh."""
        self._calls.clear()
        self._failures.clear()
        self._blameless.clear()
