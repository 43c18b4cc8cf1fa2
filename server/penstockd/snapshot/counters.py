"""Reads everything that is counted and measured in this process, as the snapshot needs it."""

from collections import Counter as Tallied
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import inf

from penstockd import conventions as names
from penstockd.metrics.distribution import Distribution, together
from penstockd.metrics.instruments import Counter, Histogram, Instruments, Series
from penstockd.metrics.recent import Extremes, Key, Reading
from penstockd.metrics.tally import GENERATING, Tally
from penstockd.snapshot.shape import REFUSALS

CALL, FIRST_CONTENT, OVERHEAD, COMMIT, LOOP_LAG = "call", "first_content", "overhead", "commit", "loop_lag"

_HISTOGRAMS = {
    names.RPC_SERVER_CALL_DURATION: CALL,
    names.PENSTOCK_CALL_FIRST_CONTENT: FIRST_CONTENT,
    names.PENSTOCK_OVERHEAD: OVERHEAD,
    names.PENSTOCK_LEDGER_COMMIT_DURATION: COMMIT,
    names.PENSTOCK_EVENT_LOOP_LAG: LOOP_LAG,
}
_COUNTERS = {
    names.PENSTOCK_LIMIT_DENIALS: (
        "denied",
        (names.PENSTOCK_TENANT, names.PENSTOCK_RULE_PER, names.PENSTOCK_RULE, names.PENSTOCK_RULE_SHADOW),
    ),
    names.PENSTOCK_PRICE_UNKNOWN: ("unpriced", (names.PENSTOCK_MODEL,)),
    names.PENSTOCK_SPEND: ("cost", (names.PENSTOCK_TENANT, names.PENSTOCK_MODEL, names.PENSTOCK_WASTED)),
}
_METHODS = {path.removeprefix("/") for path in GENERATING}


class Counters:
    """Every number since the start.

    Kinds of counters, and what their keys tell: code (code), tenant (tenant, code), attempts (model,
    reason), denied (tenant, per, rule, shadow), unpriced (model), cost (tenant, model, wasted), dropped (signal).
    """

    def __init__(self, instruments: Instruments, tally: Tally, dropped: Callable[[], Mapping[str, int]]) -> None:
        """Read these, and the telemetry that was dropped, by signal; what nobody measures yet counts nothing."""
        self._instruments = instruments
        self._tally = tally
        self._dropped = dropped

    def read(self) -> Reading:
        """Return all of it as it is now."""
        counts: dict[str, Mapping[Key, int]] = {
            "tenant": dict(self._tally.ended_by),
            "dropped": {(signal,): count for signal, count in self._dropped().items()},
        }
        distributions: dict[str, Distribution] = {}
        extremes: dict[str, Extremes] = {}
        for histogram in self._instruments.histograms:
            if name := _HISTOGRAMS.get(histogram.name):
                all_series = list(_of_calls(histogram))
                if name == CALL:
                    all_series = [each for each in all_series if not _is_refusal(each[0])]
                distributions[name] = together(_distribution(histogram, series) for _, series in all_series)
                extremes[name] = _extremes(series for _, series in all_series)
            counts |= _counted(histogram)
        for counter in self._instruments.counters:
            if counter.name in _COUNTERS:
                kind, labels = _COUNTERS[counter.name]
                counts[kind] = _added(counter, labels)
        return Reading(counts=counts, distributions=distributions, extremes=extremes)

    def cut(self) -> None:
        """Begin the extremes anew."""
        for histogram in self._instruments.histograms:
            if histogram.name in _HISTOGRAMS:
                for _, series in histogram.series:
                    series.cut()


def _of_calls(histogram: Histogram) -> Iterator[tuple[dict[str, str], Series]]:
    """The series, without those of methods that ask no agent: they would make calls look faster than they are."""
    for labels, series in histogram.series:
        if labels.get(names.RPC_METHOD, next(iter(_METHODS))) in _METHODS:
            yield labels, series


def _is_refusal(labels: dict[str, str]) -> bool:
    return labels.get(names.RPC_RESPONSE_STATUS_CODE) in REFUSALS


def _distribution(histogram: Histogram, series: Series) -> Distribution:
    return Distribution(
        bounds=histogram.bounds,
        counts=tuple(series.counts),
        sum=series.sum,
        smallest=series.smallest,
        largest=series.largest,
    )


def _extremes(all_series: Iterable[Series]) -> Extremes:
    lately = [series.lately for series in all_series]
    return min((low for low, _ in lately), default=inf), max((high for _, high in lately), default=-inf)


def _counted(histogram: Histogram) -> dict[str, Mapping[Key, int]]:
    """How many values a histogram has, where that is of interest, by kind."""
    counts: Tallied[Key] = Tallied()
    match histogram.name:
        case names.RPC_SERVER_CALL_DURATION:
            kind, chosen, all_series = "code", [names.RPC_RESPONSE_STATUS_CODE], _of_calls(histogram)
        case names.GEN_AI_CLIENT_OPERATION_DURATION:
            kind, chosen, all_series = "attempts", [names.PENSTOCK_MODEL, names.ERROR_TYPE], iter(histogram.series)
        case _:
            return {}
    for labels, series in all_series:
        counts[tuple(labels.get(label, "") for label in chosen)] += sum(series.counts)
    return {kind: counts}


def _added(counter: Counter, chosen: Sequence[str]) -> Mapping[Key, int]:
    """What a counter has, by the chosen of its labels."""
    counts: Tallied[Key] = Tallied()
    for labels, count in counter.series:
        counts[tuple(labels.get(label, "") for label in chosen)] += count.value
    return counts
