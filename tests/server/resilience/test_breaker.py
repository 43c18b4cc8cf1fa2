"""The circuit breaker, one promise at a time."""

import math

import pytest

from fakes.clock import FakeClock
from penstockd.resilience.breaker import CircuitBreaker
from penstockd.resilience.circuit import BreakerPolicy, State, Ticket, Transition

CLOSED, OPEN, HALF_OPEN = State.CLOSED, State.OPEN, State.HALF_OPEN


def a_breaker(clock: FakeClock, policy: BreakerPolicy | None = None) -> CircuitBreaker:
    """A breaker of the default policy whose jitter always draws the middle."""
    return CircuitBreaker(policy or BreakerPolicy(), clock, lambda: 0.5)


def admitted(breaker: CircuitBreaker) -> Ticket:
    """The ticket of a call that must be admitted."""
    ticket = breaker.admit()
    assert ticket is not None
    return ticket


def opened(clock: FakeClock, policy: BreakerPolicy | None = None) -> CircuitBreaker:
    """A breaker that five failures have just opened, for 5 s."""
    breaker = a_breaker(clock, policy)
    for _ in range(5):
        breaker.failed(admitted(breaker), "503")
    assert breaker.state is OPEN
    return breaker


def probed(clock: FakeClock, breaker: CircuitBreaker) -> Ticket:
    """The probe of an open breaker, once it is due."""
    clock.advance(breaker.wait())
    return admitted(breaker)


def test_failures_in_a_row_open_it() -> None:
    """The fifth failure in a row opens it for 5 s and tells why; the fourth does not."""
    breaker = a_breaker(FakeClock())
    ticket = admitted(breaker)

    told = [breaker.failed(ticket, "503") for _ in range(5)]

    assert told == [None, None, None, None, Transition(CLOSED, OPEN, "503")]
    assert breaker.admit() is None
    assert breaker.wait() == 5.0
    assert breaker.cause == "503"


def test_a_success_breaks_the_row() -> None:
    """Four failures, a success and four failures more are not five in a row."""
    breaker = a_breaker(FakeClock())
    ticket = admitted(breaker)

    for _ in range(4):
        breaker.failed(ticket, "503")
    breaker.succeeded(ticket)
    for _ in range(4):
        breaker.failed(ticket, "503")

    assert breaker.state is CLOSED


def test_half_of_ten_calls_failing_opens_it() -> None:
    """The failure rate opens it from the tenth verdict on, not before."""
    breaker = a_breaker(FakeClock())
    ticket = admitted(breaker)

    for _ in range(4):
        breaker.failed(ticket, "reset")
        breaker.succeeded(ticket)
    breaker.succeeded(ticket)
    assert breaker.record.error_rate == pytest.approx(4 / 9)

    assert breaker.failed(ticket, "reset") == Transition(CLOSED, OPEN, "reset")
    assert breaker.record.error_rate == 0.5


def test_old_failures_do_not_count() -> None:
    """A failure that has left the window neither opens it nor shows in the error rate."""
    clock = FakeClock()
    breaker = a_breaker(clock, BreakerPolicy(min_calls=4, consecutive_failures=100))
    ticket = admitted(breaker)
    for _ in range(3):
        breaker.failed(ticket, "503")

    clock.advance(30.0)

    assert breaker.record.error_rate == 0.0
    assert breaker.failed(ticket, "503") is None


def test_a_success_is_no_reason_to_open() -> None:
    """The verdict that completes min_calls opens it only if it is a failure."""
    breaker = a_breaker(FakeClock(), BreakerPolicy(min_calls=3, consecutive_failures=100))
    ticket = admitted(breaker)
    breaker.failed(ticket, "503")
    breaker.failed(ticket, "503")

    assert breaker.succeeded(ticket) is None
    assert breaker.failed(ticket, "503") == Transition(CLOSED, OPEN, "503")


def test_a_break_after_the_first_content_is_a_failure_of_its_own() -> None:
    """A call that succeeded and broke later counts as both, so a model that breaks every stream is opened."""
    breaker = a_breaker(FakeClock())

    for _ in range(5):
        ticket = admitted(breaker)
        breaker.succeeded(ticket)
        breaker.failed(ticket, "stream broken")

    assert breaker.state is OPEN
    assert breaker.record.error_rate == 0.5


def test_of_a_hundred_callers_one_is_the_probe() -> None:
    """Once the open time is over one call is admitted as the probe and says that it half-opened the circuit."""
    clock = FakeClock()
    breaker = opened(clock)
    clock.advance(5.0)

    tickets = [ticket for _ in range(100) if (ticket := breaker.admit())]

    assert len(tickets) == 1
    assert tickets[0].is_probe
    assert tickets[0].transition == Transition(OPEN, HALF_OPEN, "503")
    assert breaker.cause == "503"


def test_two_successes_close_it() -> None:
    """The second probe comes after the first one's success, and its own success closes the circuit with no history."""
    clock = FakeClock()
    breaker = opened(clock)
    first = probed(clock, breaker)

    assert breaker.succeeded(first) is None
    second = admitted(breaker)
    assert second.is_probe
    assert second.transition is None

    assert breaker.succeeded(second) == Transition(HALF_OPEN, CLOSED, "probes succeeded")
    assert not admitted(breaker).is_probe
    assert breaker.record.error_rate == 0.0
    assert breaker.cause == ""


def test_one_success_told_twice_does_not_close_it() -> None:
    """A probe's success counts once."""
    clock = FakeClock()
    breaker = opened(clock)
    probe = probed(clock, breaker)

    breaker.succeeded(probe)
    breaker.succeeded(probe)

    assert breaker.state is HALF_OPEN


def test_open_time_doubles_to_its_bound_and_starts_over_once_closed() -> None:
    """Each failed probe doubles the open time up to 120 s; after closing it is 5 s again."""
    clock = FakeClock()
    breaker = opened(clock)
    waits = [breaker.wait()]
    for _ in range(7):
        assert breaker.failed(probed(clock, breaker), "503") == Transition(HALF_OPEN, OPEN, "503")
        waits.append(breaker.wait())

    breaker.succeeded(probed(clock, breaker))
    breaker.succeeded(admitted(breaker))
    for _ in range(5):
        breaker.failed(admitted(breaker), "503")

    assert waits == [5.0, 10.0, 20.0, 40.0, 80.0, 120.0, 120.0, 120.0]
    assert breaker.wait() == 5.0


@pytest.mark.parametrize(("drawn", "seconds"), [(0.0, 4.0), (0.5, 5.0), (0.75, 5.5), (1.0, 6.0)])
def test_open_time_is_jittered_by_a_fifth(drawn: float, seconds: float) -> None:
    """The open time lies within ±20 % of what the policy says."""
    breaker = CircuitBreaker(BreakerPolicy(consecutive_failures=1), FakeClock(), lambda: drawn)

    breaker.failed(admitted(breaker), "503")

    assert breaker.wait() == pytest.approx(seconds)


def test_a_hung_probe_counts_as_failed_at_its_timeout() -> None:
    """A probe that is never reported reopens the circuit from its timeout on, though nobody called in between."""
    clock = FakeClock()
    breaker = opened(clock)
    probe = probed(clock, breaker)
    assert (breaker.wait(), breaker.recovery()) == (30.0, 5.0)
    clock.advance(28.0)
    assert (breaker.wait(), breaker.recovery()) == (2.0, 2.0)

    clock.advance(5.0)

    assert breaker.state is OPEN
    assert breaker.cause == "probe timed out"
    assert breaker.wait() == breaker.recovery() == 7.0  # of the 10 s that began at the timeout
    assert breaker.admit() is None
    assert breaker.succeeded(probe) == Transition(HALF_OPEN, OPEN, "probe timed out")
    assert breaker.wait() == 7.0
    clock.advance(7.0)
    assert admitted(breaker).is_probe


def test_a_recovery_is_hoped_for_behind_a_probe_only() -> None:
    """What the model asked for, and what operators want, holds all the same."""
    clock = FakeClock()
    breaker = opened(clock)
    assert breaker.recovery() == breaker.wait() == 5.0

    probed(clock, breaker)
    breaker.cool_down(20.0)
    assert breaker.recovery() == 20.0
    breaker.disable()
    assert breaker.recovery() == math.inf


def test_a_probe_that_fails_after_its_timeout_failed_once() -> None:
    """The timeout was the failure; the late report neither doubles the open time again nor starts it anew."""
    clock = FakeClock()
    breaker = opened(clock)
    probe = probed(clock, breaker)
    clock.advance(31.0)

    assert breaker.failed(probe, "late") == Transition(HALF_OPEN, OPEN, "probe timed out")
    assert breaker.failed(probe, "late") is None

    assert breaker.wait() == 9.0


def test_the_next_probe_comes_though_nobody_saw_the_last_one_expire() -> None:
    """A circuit whose probe hung is not stuck half-open: the next caller after the reopened time is a new probe."""
    clock = FakeClock()
    breaker = opened(clock)
    hung = probed(clock, breaker)
    clock.advance(40.0)

    probe = admitted(breaker)

    assert probe.transition == Transition(OPEN, HALF_OPEN, "probe timed out")
    assert breaker.failed(hung, "late") is None
    assert breaker.state is HALF_OPEN


def test_what_came_to_nothing_moves_no_circuit() -> None:
    """Whoever chooses a model knows of it, for as long as the window is, or until the circuit starts afresh."""
    clock = FakeClock()
    breaker = a_breaker(clock)
    breaker.succeeded(admitted(breaker))
    for _ in range(99):
        breaker.came_to_nothing()

    assert breaker.record.futility == 0.99
    assert (breaker.state, breaker.record.error_rate) == (CLOSED, 0.0)
    clock.advance(31.0)
    assert breaker.record.futility == 0.0
    breaker.came_to_nothing()
    breaker.enable()
    assert breaker.record.futility == 0.0


def test_a_failure_came_to_nothing_as_well() -> None:
    """It is counted once."""
    breaker = a_breaker(FakeClock())
    breaker.succeeded(admitted(breaker))
    breaker.failed(admitted(breaker), "503")
    breaker.came_to_nothing()
    breaker.came_to_nothing()

    assert breaker.record.futility == 0.75
    assert breaker.record.error_rate == 0.5


def test_what_nobody_is_to_blame_for_is_told_apart() -> None:
    """Its share is of all that was asked, and goes with the window."""
    clock = FakeClock()
    breaker = a_breaker(clock)
    untried = breaker.record.blameless_rate
    breaker.failed(admitted(breaker), "503")
    only_failures = breaker.record.blameless_rate
    breaker.succeeded(admitted(breaker))
    for _ in range(6):
        breaker.came_to_nothing()

    assert (untried, only_failures, breaker.record.blameless_rate) == (0.0, 0.0, 0.75)
    clock.advance(31.0)
    assert breaker.record.blameless_rate == 0.0


def test_a_released_probe_gives_its_place_back() -> None:
    """A probe that ends without a verdict leaves the circuit half-open for the next one."""
    clock = FakeClock()
    breaker = opened(clock)
    probe = probed(clock, breaker)

    assert breaker.released(probe) is None

    assert breaker.state is HALF_OPEN
    assert admitted(breaker).is_probe
    assert breaker.record.error_rate == 1.0


def test_a_release_after_the_verdict_does_not_free_the_next_probes_place() -> None:
    """A finished probe cannot give back a place that is another's by now."""
    clock = FakeClock()
    breaker = opened(clock)
    first = probed(clock, breaker)
    breaker.succeeded(first)
    admitted(breaker)

    breaker.released(first)

    assert breaker.admit() is None


def test_a_probe_that_breaks_after_its_success_reopens() -> None:
    """Any failure reopens, also of a probe that had its first content, while the second probe is on its way."""
    clock = FakeClock()
    breaker = opened(clock)
    first = probed(clock, breaker)
    breaker.succeeded(first)
    admitted(breaker)

    assert breaker.failed(first, "stream broken") == Transition(HALF_OPEN, OPEN, "stream broken")
    assert breaker.wait() == 10.0


def test_late_results_of_an_older_generation_are_ignored() -> None:
    """Calls that started before the circuit opened neither close nor reopen it, nor trip it once it is closed again."""
    clock = FakeClock()
    breaker = a_breaker(clock)
    late = admitted(breaker)
    for _ in range(5):
        breaker.failed(admitted(breaker), "503")

    assert breaker.failed(late, "late") is None
    assert breaker.wait() == 5.0
    first = probed(clock, breaker)
    assert breaker.succeeded(late) is None
    assert breaker.failed(late, "late") is None
    assert breaker.state is HALF_OPEN
    breaker.succeeded(first)
    breaker.succeeded(admitted(breaker))
    for _ in range(5):
        breaker.failed(late, "late")
        breaker.failed(first, "late")
    breaker.trip("late", 300.0, ticket=late)

    assert breaker.state is CLOSED
    assert breaker.record.error_rate == 0.0


def test_a_cooldown_is_waited_for_and_is_no_failure() -> None:
    """A 429 keeps calls out until Retry-After, with the circuit closed and the error rate as it was."""
    clock = FakeClock()
    breaker = a_breaker(clock)

    breaker.cool_down(3600.0)

    assert breaker.state is CLOSED
    assert breaker.record.error_rate == 0.0
    assert breaker.wait() == 3600.0
    assert breaker.admit() is None
    clock.advance(3600.0)
    admitted(breaker)


def test_the_later_of_two_cooldowns_is_kept() -> None:
    """A shorter cooldown does not cut a longer one short; a longer one prolongs it."""
    clock = FakeClock()
    breaker = a_breaker(clock)

    breaker.cool_down(30.0)
    breaker.cool_down(2.0)
    assert breaker.wait() == 30.0

    breaker.cool_down(45.0)
    assert breaker.wait() == 45.0


def test_without_a_hint_cooldowns_double_until_a_success() -> None:
    """A 429 without Retry-After is waited out for 1 s, doubling to 60 s; a success starts over."""
    clock = FakeClock()
    breaker = a_breaker(clock)
    waits = []
    for _ in range(8):
        breaker.cool_down(None)
        waits.append(breaker.wait())
        clock.advance(breaker.wait())

    breaker.succeeded(admitted(breaker))
    breaker.cool_down(None)

    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    assert breaker.wait() == 1.0


def test_refusals_of_one_moment_double_once() -> None:
    """A hundred calls that were on their way together and all got a 429 do not make a cooldown of a minute."""
    breaker = a_breaker(FakeClock())

    for _ in range(100):
        breaker.cool_down(None)

    assert breaker.wait() == 1.0


def test_a_cooldown_holds_an_open_circuit_back() -> None:
    """The probe waits for both the open time and the cooldown."""
    clock = FakeClock()
    breaker = opened(clock)

    breaker.cool_down(60.0)
    clock.advance(5.0)

    assert breaker.wait() == 55.0
    assert breaker.admit() is None


def test_a_misconfigured_model_is_opened_for_as_long_as_asked() -> None:
    """A trip opens for its own time and neither shortens a longer one nor uses up a doubling."""
    clock = FakeClock()
    breaker = a_breaker(clock)
    ticket = admitted(breaker)

    assert breaker.trip("401", 300.0, ticket=ticket) == Transition(CLOSED, OPEN, "401")
    assert breaker.trip("401", 300.0, ticket=ticket) is None
    breaker.trip("timeout", 10.0)
    assert breaker.wait() == 300.0

    breaker.failed(probed(clock, breaker), "503")
    assert breaker.wait() == 5.0


def test_a_trip_ends_a_probe() -> None:
    """A probe that finds the key rejected opens the circuit for the trip's time, whatever its own timeout was."""
    clock = FakeClock()
    breaker = opened(clock)
    probe = probed(clock, breaker)

    assert breaker.trip("401", 10.0, ticket=probe) == Transition(HALF_OPEN, OPEN, "401")
    breaker.released(probe)

    assert breaker.wait() == 10.0


def test_forced_open_it_comes_back_as_if_it_had_failed() -> None:
    """An operator's force_open keeps calls out for the open time, then a probe decides."""
    clock = FakeClock()
    breaker = a_breaker(clock)

    assert breaker.force_open("operator") == Transition(CLOSED, OPEN, "operator")
    assert breaker.cause == "operator"
    assert breaker.wait() == 5.0
    assert breaker.force_open("operator") is None

    assert probed(clock, breaker).is_probe


def test_disabled_it_admits_nothing_until_enabled() -> None:
    """Disabling keeps every call out for ever; both changes are told once."""
    clock = FakeClock()
    breaker = a_breaker(clock)

    assert breaker.disable() == Transition(CLOSED, CLOSED, "disabled")
    assert breaker.disable() is None
    clock.advance(1e6)
    assert breaker.wait() == math.inf
    assert breaker.admit() is None
    assert not breaker.is_enabled
    assert breaker.cause == "disabled"

    assert breaker.enable() == Transition(CLOSED, CLOSED, "enabled")
    assert breaker.enable() is None
    admitted(breaker)


def test_enabling_starts_afresh() -> None:
    """Enabled, it is closed without cooldown, history or doubling, and results of before are ignored."""
    clock = FakeClock()
    breaker = opened(clock)
    probe = probed(clock, breaker)
    breaker.cool_down(600.0)
    breaker.disable()

    assert breaker.enable() == Transition(HALF_OPEN, CLOSED, "enabled")

    assert breaker.wait() == 0.0
    assert breaker.record.error_rate == 0.0
    assert breaker.failed(probe, "late") is None
    for _ in range(5):
        breaker.failed(admitted(breaker), "503")
    assert breaker.wait() == 5.0


def test_who_waits_exactly_as_long_as_told_is_admitted() -> None:
    """No rounding of floats makes a caller that slept for `wait` come too early."""
    for start in range(1, 2000):
        clock = FakeClock(now=start * 1.1)
        breaker = CircuitBreaker(BreakerPolicy(consecutive_failures=1), clock, lambda: 0.123)
        breaker.failed(admitted(breaker), "503")

        clock.advance(breaker.wait())

        assert breaker.admit()


def test_it_describes_itself() -> None:
    """Its repr is a status line."""
    breaker = opened(FakeClock())
    breaker.disable()

    assert repr(breaker) == "<CircuitBreaker open, disabled, wait inf s, errors 100%>"
