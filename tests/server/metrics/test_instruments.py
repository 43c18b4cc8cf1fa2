"""Measurements are aggregated in process, in a bounded number of series."""

import sys
from collections.abc import Iterator
from threading import Thread

import pytest

from penstockd.metrics import instruments
from penstockd.metrics.instruments import Histogram, Instruments


def seconds(name: str = "took") -> Histogram:
    """A histogram of two labels, with buckets up to 1 and up to 2."""
    return Instruments().histogram(name, unit="s", description="", labels=("method", "error"), bounds=(1.0, 2.0))


def test_a_value_is_counted_in_the_bucket_whose_bound_it_does_not_exceed() -> None:
    """A bound belongs to the bucket below it, and the last bucket has none."""
    series = seconds().of("ask", "")

    for value in (0.5, 1.0, 1.5, 2.0, 2.5, 100.0):
        series.observe(value)

    assert series.counts == [2, 2, 2]
    assert (series.sum, series.smallest, series.largest) == (107.5, 0.5, 100.0)


@pytest.fixture
def _restless() -> Iterator[None]:
    """Threads that take turns all the time."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("_restless")
def test_whoever_reads_counts_each_value_once() -> None:
    """However many read at once, and while more is observed."""
    series, many = seconds().of("ask", ""), 100_000
    observing = Thread(target=lambda: [series.observe(1.5) for _ in range(many)])

    def read() -> None:
        while observing.is_alive():
            series.settle()

    reading = [Thread(target=read) for _ in range(4)]
    for thread in (observing, *reading):
        thread.start()
    for thread in (observing, *reading):
        thread.join()

    assert (list(series.counts), series.sum) == ([0, many, 0], 1.5 * many)


def test_the_smallest_and_the_largest_are_of_all_that_was_ever_observed() -> None:
    """Not of what came since it was counted last."""
    series = seconds().of("ask", "")
    for value in (0.25, 8.0, 1.0):
        series.observe(value)
        series.settle()

    assert (series.smallest, series.largest) == (0.25, 8.0)


def test_what_waits_to_be_counted_is_settled() -> None:
    """Whether or not anybody reads it."""
    measures = Instruments()
    took = measures.histogram("took", unit="s", description="", labels=(), bounds=(1.0,)).of()
    took.observe(0.5)
    assert len(took.waiting) == 1

    measures.settle()

    assert (len(took.waiting), took.sum) == (0, 0.5)


def test_label_sets_are_told_apart() -> None:
    """An empty value leaves its label out."""
    took = seconds()

    took.of("ask", "").observe(1)
    took.of("ask", "timeout").observe(2)
    took.of("ask", "").observe(3)

    assert [(labels, series.sum) for labels, series in took.series] == [
        ({"method": "ask"}, 4),
        ({"method": "ask", "error": "timeout"}, 2),
    ]


def test_label_sets_are_bounded() -> None:
    """Whatever is one too many is `other`, and nothing is lost."""
    took = seconds()

    for number in range(instruments.MOST_SERIES + 50):
        took.of(str(number), "").observe(1)

    assert len(took.series) == instruments.MOST_SERIES + 1
    labels, others = took.series[-1]
    assert labels == {"method": "other", "error": "other"}
    assert others.sum == 50


def test_what_a_counter_tells_of_one_label_set_too_many_is_its_own_choice() -> None:
    """Those that are told apart stay so."""
    seen = Instruments().counter(
        "seen", unit="", description="", labels=("rule", "tenant"), beyond=lambda values: ("other", values[1])
    )

    for number in range(instruments.MOST_SERIES + 50):
        seen.of(str(number), "acme").add()
    seen.of("one more", "globex").add()
    seen.of("0", "acme").add()

    told = {tuple(labels.values()): count.value for labels, count in seen.series}
    assert len(told) == instruments.MOST_SERIES + 2
    assert (told["other", "acme"], told["other", "globex"], told["0", "acme"]) == (50, 1, 2)


def test_a_counter_counts_by_label() -> None:
    """One at a time, or more."""
    spent = Instruments().counter("spent", unit="usd", description="", labels=("model",), scale=1e-9)

    spent.of("a").add()
    spent.of("a").add(4)
    spent.of("b").add()

    assert [(labels, count.value) for labels, count in spent.series] == [({"model": "a"}, 5), ({"model": "b"}, 1)]


def test_who_asks_for_an_instrument_again_gets_the_same() -> None:
    """A reload makes everything anew, and what was counted stays."""
    made = Instruments()
    first, second = (made.histogram(name, unit="s", description="", labels=(), bounds=()) for name in ("took", "took"))
    seen, again = (made.counter(name, unit="", description="", labels=()) for name in ("seen", "seen"))

    assert first is second
    assert seen is again
    assert (made.histograms, made.counters) == ([first], [seen])
