"""A fault that repeats is told a few times and then counted; everything else is told as it comes."""

import logging
import sys
from collections.abc import Callable

from fakes.clock import FakeClock
from penstockd.logs.repeats import MOST_FAULTS, TOLD, WINDOW, Repeats


def line(message: str = "it broke", level: int = logging.WARNING, **fields: object) -> logging.LogRecord:
    """A line as our log makes it."""
    record = logging.LogRecord("penstockd", level, "", 0, message, (), None)
    record.__dict__["fields"] = fields
    return record


def passed(repeats: Repeats, record: logging.LogRecord, times: int) -> int:
    """How many lines are written of `times` such records."""
    return sum(len(repeats.pass_on(record)) for _ in range(times))


def repeated(record: logging.LogRecord) -> object:
    """How many lines one line stands for."""
    return record.__dict__["fields"]["repeated"]


def test_the_first_few_lines_about_a_fault_are_told() -> None:
    """The others wait for the end of the window, and are then one line that looks like the last of them."""
    clock = FakeClock()
    repeats = Repeats(clock)

    assert passed(repeats, line(request_id="r1"), TOLD + 6) == TOLD
    assert not repeats.pass_on(line(request_id="r2"))
    assert repeats.are_waiting
    assert repeats.due() == []
    clock.advance(WINDOW)
    (told,) = repeats.due()

    assert told.getMessage() == "it broke"
    assert told.__dict__["fields"] == {"request_id": "r2", "repeated": 7}
    assert not repeats.are_waiting
    assert passed(repeats, line(), TOLD + 1) == TOLD


def test_a_fault_that_comes_back_first_tells_how_often_it_was_not_told() -> None:
    """Where nobody has looked at what was due in between."""
    clock = FakeClock()
    repeats = Repeats(clock)
    passed(repeats, line(), TOLD + 2)
    clock.advance(WINDOW)

    before, now = repeats.pass_on(line())

    assert repeated(before) == 2
    assert "repeated" not in now.__dict__["fields"]


def test_how_calls_ended_is_never_folded() -> None:
    """Nor is anything that is said in the normal course of things."""
    repeats = Repeats(FakeClock())

    assert passed(repeats, line("call finished", logging.INFO), 1000) == 1000


def test_faults_of_different_subjects_are_told_apart() -> None:
    """Whose fault it is counts, the call in which it showed does not, nor in which words it did."""
    repeats = Repeats(FakeClock())

    assert passed(repeats, line(model="a", error="x"), TOLD) == TOLD
    assert passed(repeats, line(model="b"), 1) == 1
    assert passed(repeats, line(model="a", level=logging.ERROR), 1) == 1
    assert passed(repeats, line("other", model="a"), 1) == 1
    assert passed(repeats, line(model="a", error="y", request_id="r", trace_id="t"), 1) == 0


def test_a_fault_in_many_calls_is_one() -> None:
    """Whoever called; and that of a model whichever agent asked it."""
    repeats = Repeats(FakeClock())

    calls = [line(request_id=f"r{number}", tenant=f"t{number}", agent="a") for number in range(TOLD + 1)]
    attempts = [line(model="m", request_id="r", agent=f"a{number}") for number in range(TOLD + 1)]

    assert [len(repeats.pass_on(each)) for each in calls] == [1] * TOLD + [0]
    assert len(repeats.pass_on(line(request_id="r", agent="b"))) == 1
    assert [len(repeats.pass_on(each)) for each in attempts] == [1] * TOLD + [0]
    assert passed(repeats, line(tenant="t1"), 1) + passed(repeats, line(tenant="t2"), TOLD) == 1 + TOLD


def test_lines_of_others_are_folded_by_what_they_have_in_common() -> None:
    """Their message before anything is put into it, and the kind of their exception."""
    repeats = Repeats(FakeClock())
    records = [
        logging.LogRecord("grpc", logging.ERROR, "", 0, "odd %s", (number,), (ValueError, ValueError(number), None))
        for number in range(TOLD + 1)
    ]
    other = logging.LogRecord("grpc", logging.ERROR, "", 0, "odd %s", (0,), (KeyError, KeyError(), None))

    assert [len(repeats.pass_on(record)) for record in records] == [1] * TOLD + [0]
    assert len(repeats.pass_on(other)) == 1


def test_failures_of_one_kind_are_told_apart_by_where_they_come_from() -> None:
    """Each has a traceback that the other has not; who called makes no difference."""

    def deeper() -> None:
        raise TypeError

    def here() -> None:
        raise TypeError

    def failed(raising: Callable[[], None], tenant: str) -> logging.LogRecord:
        record = line("a call failed unforeseen", logging.ERROR, agent="support", tenant=tenant)
        try:
            raising()
        except TypeError:
            record.exc_info = sys.exc_info()
        return record

    repeats = Repeats(FakeClock())

    assert [len(repeats.pass_on(failed(deeper, f"t{number}"))) for number in range(TOLD + 1)] == [1] * TOLD + [0]
    assert len(repeats.pass_on(failed(here, "t0"))) == 1


def test_at_the_end_all_that_was_folded_is_told() -> None:
    """Though no window has ended."""
    repeats = Repeats(FakeClock())
    passed(repeats, line(model="a"), TOLD + 1)
    passed(repeats, line(model="b"), TOLD + 2)

    assert [repeated(told) for told in repeats.due(at_the_end=True)] == [1, 2]


def test_any_number_of_faults_is_bounded() -> None:
    """The oldest makes room, and is told of then."""
    repeats = Repeats(FakeClock())
    passed(repeats, line(model="first"), TOLD + 3)
    for number in range(MOST_FAULTS - 1):
        assert passed(repeats, line(model=number), 1) == 1

    evicted, told = repeats.pass_on(line(model="one more"))

    assert (evicted.__dict__["fields"]["model"], repeated(evicted)) == ("first", 3)
    assert told.__dict__["fields"] == {"model": "one more"}
    assert len(repeats._windows) == MOST_FAULTS  # noqa: SLF001 - what must not grow
