"""The breaker beside a reference that remembers everything and computes from the whole of it."""

import math
import os
from dataclasses import dataclass

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fakes.clock import FakeClock
from penstockd.resilience.breaker import CircuitBreaker
from penstockd.resilience.circuit import BreakerPolicy, State, Ticket, Transition

SOAK = os.environ.get("PENSTOCK_SOAK") == "1"
CLOSED, OPEN, HALF_OPEN = State.CLOSED, State.OPEN, State.HALF_OPEN

RESULTS = ("success", "success", "failure", "failure", "neither")

# Everything is a multiple of a power of two, so that both sides round alike: not at all.
POLICY = BreakerPolicy(
    window=30.0,
    min_calls=6,
    failure_rate=0.5,
    consecutive_failures=4,
    open_for=4.0,
    max_open_for=16.0,
    probe_timeout=8.0,
    jitter=0.25,
)


@dataclass(eq=False)
class Pass:
    """The reference's ticket."""

    era: int
    is_probe: bool


class Reference:
    """DESIGN's circuit breaker by the letter: slow, forgetful of nothing, and moved by the clock at once."""

    def __init__(self, spread: float) -> None:
        self.spread = spread
        self.now = 1000.0
        self.era = 0
        self.state = CLOSED
        self.enabled = True
        self.cause = ""
        self.verdicts: list[tuple[float, int, bool]] = []  # when, in which era, whether good
        self.cooldowns: list[float] = []
        self.guesses: list[float] = []
        self.falls = 0
        self.open_until = 0.0
        self.probe: Pass | None = None
        self.probe_until = 0.0
        self.good_probes = 0

    def advance(self, seconds: float) -> None:
        self.now += seconds
        if self.probe and self.now >= self.probe_until:
            self.fall("probe timed out", self.probe_until)

    def wait(self) -> float:
        if not self.enabled:
            return math.inf
        ends = [self.now, *self.cooldowns]
        if self.state is OPEN:
            ends.append(self.open_until)
        if self.probe:
            ends.append(self.probe_until)
        return max(ends) - self.now

    def error_rate(self) -> float:
        good = [is_good for at, _, is_good in self.verdicts if math.floor(at) > math.floor(self.now) - 30]
        return good.count(False) / len(good) if good else 0.0

    def admit(self) -> Pass | None:
        if self.wait():
            return None
        if self.state is CLOSED:
            return Pass(self.era, is_probe=False)
        if self.state is OPEN:
            self.begin(HALF_OPEN, self.cause)
        self.probe = Pass(self.era, is_probe=True)
        self.probe_until = self.now + 8.0
        return self.probe

    def succeeded(self, ticket: Pass) -> None:
        if ticket.era != self.era or (ticket.is_probe and ticket is not self.probe):
            return
        self.verdicts.append((self.now, self.era, True))
        self.guesses.clear()
        if ticket.is_probe:
            self.probe = None
            self.good_probes += 1
        if self.good_probes == 2:
            self.close()

    def failed(self, ticket: Pass, cause: str) -> None:
        if ticket.era != self.era:
            return
        self.verdicts.append((self.now, self.era, False))
        last_four = [is_good for _, era, is_good in self.verdicts if era == self.era][-4:]
        recent = [at for at, _, _ in self.verdicts if math.floor(at) > math.floor(self.now) - 30]
        too_many = len(recent) >= 6 and self.error_rate() >= 0.5
        if ticket.is_probe or too_many or last_four == [False] * 4:
            self.fall(cause, self.now)

    def released(self, ticket: Pass) -> None:
        if ticket is self.probe:
            self.probe = None

    def cool_down(self, seconds: float | None) -> None:
        if seconds is None:
            if not self.guesses or max(self.cooldowns) <= self.now:
                self.guesses.append(min(2.0 ** len(self.guesses), 60.0))
            seconds = self.guesses[-1]
        self.cooldowns.append(self.now + seconds)

    def trip(self, cause: str, seconds: float) -> None:
        until = self.now + seconds
        self.open_until = max(until, self.open_until) if self.state is OPEN else until
        self.begin(OPEN, cause)

    def fall(self, cause: str, at: float) -> None:
        seconds = min(4.0 * 2.0**self.falls, 16.0) * self.spread
        self.falls += 1
        until = at + seconds
        self.open_until = max(until, self.open_until) if self.state is OPEN else until
        self.begin(OPEN, cause)

    def enable(self) -> None:
        self.enabled = True
        self.cooldowns.clear()
        self.guesses.clear()
        self.close()

    def close(self) -> None:
        self.verdicts.clear()
        self.falls = 0
        self.begin(CLOSED, "")

    def begin(self, state: State, cause: str) -> None:
        self.era += 1
        self.state = state
        self.cause = cause
        self.probe = None
        self.good_probes = 0


class BreakerBesideReference(RuleBasedStateMachine):
    """Does the same to both, in any order, and compares all that can be seen of them after each step."""

    @initialize(drawn=st.sampled_from([0.0, 0.25, 0.5, 0.75]))
    def both_start(self, drawn: float) -> None:
        self.clock = FakeClock()
        self.breaker = CircuitBreaker(POLICY, self.clock, lambda: drawn)
        self.reference = Reference(spread=0.75 + drawn / 2)
        self.calls: list[tuple[Ticket, Pass]] = []
        self.shown = CLOSED

    def show(self, transition: Transition | None) -> None:
        """Follow what the breaker tells of itself."""
        if transition:
            assert transition.old is self.shown
            self.shown = transition.new

    def enter(self) -> tuple[Ticket, Pass] | None:
        """Let a call ask both for admission."""
        state = self.breaker.state
        ticket, reference = self.breaker.admit(), self.reference.admit()
        assert (ticket is None) == (reference is None)
        if not ticket or not reference:
            return None
        assert ticket.is_probe == reference.is_probe
        if ticket.transition:
            self.shown = state  # it may have lapsed unseen
        self.show(ticket.transition)
        self.calls.append((ticket, reference))
        return ticket, reference

    def end(self, call: tuple[Ticket, Pass], result: str) -> None:
        """Report a call's result to both."""
        ticket, reference = call
        match result:
            case "success":
                self.show(self.breaker.succeeded(ticket))
                self.reference.succeeded(reference)
            case "failure":
                self.show(self.breaker.failed(ticket, "503"))
                self.reference.failed(reference, "503")
            case _:
                self.show(self.breaker.released(ticket))
                self.reference.released(reference)

    @rule(quarters=st.one_of(st.integers(0, 8), st.integers(0, 80)))
    def time_passes(self, quarters: int) -> None:
        self.clock.advance(quarters / 4)
        self.reference.advance(quarters / 4)

    @rule(results=st.lists(st.sampled_from(RESULTS), min_size=1, max_size=4))
    def calls_come_and_end_as_soon_as_they_may(self, results: list[str]) -> None:
        for result in results:
            if (wait := self.reference.wait()) < math.inf:
                self.clock.advance(wait)
                self.reference.advance(wait)
            if call := self.enter():
                self.end(call, result)

    @rule()
    def a_call_comes(self) -> None:
        self.enter()

    @precondition(lambda self: self.calls)
    @rule(back=st.integers(1, 4), results=st.lists(st.sampled_from(RESULTS), min_size=1, max_size=3))
    def a_call_ends(self, back: int, results: list[str]) -> None:
        for result in results:
            self.end(self.calls[-min(back, len(self.calls))], result)

    @rule(seconds=st.sampled_from([None, None, 0.0, 0.5, 20.0]))
    def the_model_asks_for_patience(self, seconds: float | None) -> None:
        self.breaker.cool_down(seconds)
        self.reference.cool_down(seconds)

    @rule(act=st.sampled_from(["trip", "trip", "force open", "disable", "enable", "enable"]))
    def an_operator_acts(self, act: str) -> None:
        match act:
            case "trip":
                self.show(self.breaker.trip("401", 20.0))
                self.reference.trip("401", 20.0)
            case "force open":
                self.show(self.breaker.force_open("operator"))
                self.reference.fall("operator", self.reference.now)
            case "disable":
                self.show(self.breaker.disable())
                self.reference.enabled = False
            case _:
                self.show(self.breaker.enable())
                self.reference.enable()

    @invariant()
    def both_look_alike(self) -> None:
        breaker, reference = self.breaker, self.reference
        assert breaker.state is reference.state
        assert breaker.is_enabled == reference.enabled
        assert breaker.wait() == reference.wait()
        assert breaker.record.error_rate == reference.error_rate()
        assert breaker.cause == (reference.cause if reference.enabled else "disabled")


BreakerBesideReference.TestCase.settings = settings(
    max_examples=2500 if SOAK else 150, stateful_step_count=50, deadline=None
)


@pytest.mark.soak
@pytest.mark.timeout(900 if SOAK else 60)
class TestTheBreakerDoesAsItsReference(BreakerBesideReference.TestCase):  # type: ignore[misc, valid-type]
    """Random histories: 1.2 × 10^5 steps with PENSTOCK_SOAK=1, fewer without."""
