"""Backoff between rounds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstockd.resilience.backoff import Backoff, soon


def test_its_bound_doubles_up_to_the_longest_delay() -> None:
    """The most a round waits doubles from the base delay to the longest one and stays there."""
    backoff = Backoff(0.2, 10.0, random=lambda: 1.0)

    delays = [backoff.delay(number) for number in (1, 2, 3, 4, 5, 6, 7, 8, 10_000)]

    assert delays == pytest.approx([0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0, 10.0])


@given(number=st.integers(1, 5000), drawn=st.floats(0.0, 1.0), hint=st.none() | st.floats(0.0, 3600.0))
def test_any_delay_is_jittered_in_full_and_no_less_than_the_hint(number: int, drawn: float, hint: float | None) -> None:
    """A delay is drawn from the whole range down to 0, but obeys what the upstream asks."""
    bound = Backoff(0.2, 10.0, random=lambda: 1.0).delay(number)

    delay = Backoff(0.2, 10.0, random=lambda: drawn).delay(number, hint)

    assert delay == max(hint or 0.0, drawn * bound)


def test_who_is_sent_away_for_want_of_room_comes_back_at_another_moment_than_the_next() -> None:
    """From a tenth of a second to half of one."""
    assert [soon(lambda drawn=drawn: drawn) for drawn in (0.0, 0.5, 1.0)] == pytest.approx([0.1, 0.3, 0.5])  # type: ignore[misc]
