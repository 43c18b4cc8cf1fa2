"""Keeps calls from a model that is failing, and lets it back with care."""

import math
from collections.abc import Callable

from penstockd.clock import Clock
from penstockd.resilience.circuit import BreakerPolicy, State, Ticket, Transition
from penstockd.resilience.cooldown import Cooldown
from penstockd.resilience.record import Record

# Moments are rounded floats: who waits exactly as long as told must not be a rounding error too early.
TOLERANCE = 1e-6
SUCCESSES_TO_CLOSE = 2
DISABLED = "disabled"
ENABLED = "enabled"
PROBE_TIMED_OUT = "probe timed out"
PROBES_SUCCEEDED = "probes succeeded"


class CircuitBreaker:
    """Opens on failures, tries one probe at a time once the open time is over, and closes after two successes.

    Each change of state starts a generation; results of an older one are ignored. Time alone moves it too: an
    unreported probe counts as failed at its timeout. `record` is what the calls of its window came to, to be read.
    """

    def __init__(self, policy: BreakerPolicy, clock: Clock, random: Callable[[], float]) -> None:
        self.record = Record(policy.window, clock)
        self._policy = policy
        self._clock = clock
        self._random = random
        self._cooldown = Cooldown()
        self._is_enabled = True
        self._state = State.CLOSED
        self._cause = ""
        self._ticket = Ticket(0)
        self._probe: Ticket | None = None
        self._successes = 0
        self._failures_in_a_row = 0
        self._blocked_until = -math.inf
        self._open_for = policy.open_for
        self._spread = self._draw_spread()

    def __repr__(self) -> str:
        enabled = "" if self._is_enabled else ", disabled"
        return f"<CircuitBreaker {self.state}{enabled}, wait {self.wait():.3f} s, errors {self.record.error_rate:.0%}>"

    @property
    def state(self) -> State:
        """The circuit as it is now, whether operators enabled it or not."""
        return self._state if self._probe is None or not self._has_lapsed(self._clock.monotonic()) else State.OPEN

    @property
    def cause(self) -> str:
        """Why calls are kept out, for people; empty when they are not."""
        if not self._is_enabled:
            return DISABLED
        if self._has_lapsed(self._clock.monotonic()):
            return PROBE_TIMED_OUT
        return "" if self._state is State.CLOSED else self._cause

    @property
    def is_probe_due(self) -> bool:
        """Whether it would admit a probe now."""
        return self._state is not State.CLOSED and self.wait() == 0.0

    @property
    def is_enabled(self) -> bool:
        """Whether operators let it admit calls."""
        return self._is_enabled

    @property
    def cooldown(self) -> float:
        """Seconds for which the model asked for patience and still does, 0.0 if it does not."""
        return max(0.0, self._cooldown.left(self._clock.monotonic()))

    @property
    def label(self) -> str:
        """What the circuit is, in one word: its state, or `disabled`."""
        return self.state if self._is_enabled else DISABLED

    @property
    def next_probe_in(self) -> float | None:
        """Seconds until a call may be admitted, None where that is now or never."""
        wait = self.wait()
        return wait if 0.0 < wait < math.inf else None

    def wait(self) -> float:
        """Seconds until a call may be admitted, 0.0 = now; behind a probe, until its verdict is due at the latest."""
        if not self._is_enabled:
            return math.inf
        until = max(self._blocked_until, self._cooldown.until)
        if until == -math.inf:  # as it is of a model that is well, which is asked at every call
            return 0.0
        now = self._clock.monotonic()
        if self._has_lapsed(now):
            until = max(until, self._blocked_until + self._open_for * self._spread)
        return until - now if until - now > TOLERANCE else 0.0

    def recovery(self) -> float:
        """Seconds until it is worth coming back: as `wait`, but a probe's verdict comes long before it is due."""
        wait = self.wait()
        if self._probe is None or not self._is_enabled or self._has_lapsed(self._clock.monotonic()):
            return wait
        return max(self.cooldown, min(wait, self._policy.open_for))

    def admit(self) -> Ticket | None:
        """Let one call pass if none has to wait: any while closed, else the one probe."""
        if self.wait() > 0.0:
            return None
        return self._ticket if self._state is State.CLOSED else self._admit_probe()

    def succeeded(self, ticket: Ticket) -> Transition | None:
        """Count a success: the call got its first content."""
        if self._probe is not None and (lapsed := self._lapse(self._clock.monotonic())):
            return lapsed
        # As `_is_current`, by a look: every call comes here, and all of one generation have one ticket.
        if ticket is not self._ticket and ticket is not self._probe:
            return None
        self.record.succeeded()
        self._failures_in_a_row = 0
        self._cooldown.ease()
        return self._probe_succeeded() if ticket.is_probe else None

    def failed(self, ticket: Ticket, cause: str) -> Transition | None:
        """Count a failure, also of a call that succeeded before: one that broke after its first content."""
        now = self._clock.monotonic()
        if lapsed := self._lapse(now):
            return lapsed
        if not self._is_current(ticket):
            return None
        self.record.failed()
        self._failures_in_a_row += 1
        return self._reopen(cause, now) if ticket.is_probe or self._is_failing() else None

    def released(self, ticket: Ticket) -> Transition | None:
        """Count nothing, and give a probe's place back: the call's end says nothing about the model."""
        lapsed = self._lapse(self._clock.monotonic())
        if ticket is self._probe:
            self._end_probe()
        return lapsed

    def came_to_nothing(self) -> None:
        """Count an attempt that moves no circuit, though whoever chooses a model should know of it."""
        self.record.came_to_nothing()

    def cool_down(self, seconds: float | None) -> None:
        """Admit nothing for `seconds`, or as long as guessed: the model asked for patience, which is no failure."""
        self._cooldown.extend(self._clock.monotonic(), seconds)

    def trip(self, cause: str, seconds: float, *, ticket: Ticket | None = None) -> Transition | None:
        """Open for `seconds` or as long as it is open already, unless the ticket is of an older generation."""
        now = self._clock.monotonic()
        lapsed = self._lapse(now)
        if ticket is not None and not self._is_current(ticket):
            return lapsed
        return self._open(cause, now + seconds) or lapsed

    def force_open(self, cause: str) -> Transition | None:
        """Open as if it had failed: for its usual time, then a probe."""
        now = self._clock.monotonic()
        lapsed = self._lapse(now)
        return self._reopen(cause, now) or lapsed

    def disable(self) -> Transition | None:
        """Admit nothing until enabled."""
        if not self._is_enabled:
            return None
        lapsed = self._lapse(self._clock.monotonic())
        self._is_enabled = False
        return Transition(lapsed.old if lapsed else self._state, self._state, DISABLED)

    def enable(self) -> Transition | None:
        """Start afresh: closed, without history or cooldown."""
        was_disabled = not self._is_enabled
        self._is_enabled = True
        self._cooldown = Cooldown()
        closed = self._close(ENABLED)
        return closed or (Transition(State.CLOSED, State.CLOSED, ENABLED) if was_disabled else None)

    def _is_current(self, ticket: Ticket) -> bool:
        return ticket.generation == self._ticket.generation

    def _is_failing(self) -> bool:
        if self._failures_in_a_row >= self._policy.consecutive_failures:
            return True
        return self.record.verdicts >= self._policy.min_calls and self.record.error_rate >= self._policy.failure_rate

    # Who is asked at every call looks first whether there is a probe at all, as there seldom is.
    def _has_lapsed(self, now: float) -> bool:
        return self._probe is not None and now >= self._blocked_until - TOLERANCE

    def _lapse(self, now: float) -> Transition | None:
        return self._reopen(PROBE_TIMED_OUT, self._blocked_until) if self._has_lapsed(now) else None

    def _admit_probe(self) -> Ticket:
        now = self._clock.monotonic()
        self._lapse(now)
        transition = self._enter(State.HALF_OPEN, self._cause) if self._state is State.OPEN else None
        self._probe = Ticket(self._ticket.generation, is_probe=True, transition=transition)
        self._blocked_until = now + self._policy.probe_timeout
        return self._probe

    def _end_probe(self) -> None:
        self._probe = None
        self._blocked_until = -math.inf

    def _probe_succeeded(self) -> Transition | None:
        self._end_probe()
        self._successes += 1
        return self._close(PROBES_SUCCEEDED) if self._successes >= SUCCESSES_TO_CLOSE else None

    def _close(self, cause: str) -> Transition | None:
        self.record.clear()
        self._open_for = self._policy.open_for
        return self._enter(State.CLOSED, cause)

    def _reopen(self, cause: str, now: float) -> Transition | None:
        opened = self._open(cause, now + self._open_for * self._spread)
        self._open_for = min(2.0 * self._open_for, self._policy.max_open_for)
        self._spread = self._draw_spread()
        return opened

    def _open(self, cause: str, until: float) -> Transition | None:
        if self._state is State.OPEN:
            until = max(until, self._blocked_until)
        opened = self._enter(State.OPEN, cause)
        self._blocked_until = until
        return opened

    def _enter(self, state: State, cause: str) -> Transition | None:
        old = self._state
        self._state = state
        self._cause = cause
        self._ticket = Ticket(self._ticket.generation + 1)
        self._successes = 0
        self._failures_in_a_row = 0
        self._end_probe()
        return None if state is old else Transition(old, state, cause)

    def _draw_spread(self) -> float:
        # Drawn before it is needed, so that looking at a breaker changes nothing.
        return 1.0 + self._policy.jitter * (2.0 * self._random() - 1.0)
