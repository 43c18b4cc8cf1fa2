"""Reads everything that is counted and measured in this process, as the snapshot needs it."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from math import inf

from penstockd import conventions as names
from penstockd.call import GENERATING
from penstockd.metrics.distribution import Distribution, together
from penstockd.metrics.instruments import Histogram, Instruments, Series
from penstockd.metrics.recent import Extremes, Key, Reading
from penstockd.metrics.tally import Tally
from penstockd.snapshot.shape import FAULTS, REFUSALS

CALL, FIRST_CONTENT, OVERHEAD, COMMIT, LOOP_LAG = "call", "first_content", "overhead", "commit", "loop_lag"

_HISTOGRAMS = {
    names.RPC_SERVER_CALL_DURATION: CALL,
    names.PENSTOCK_CALL_FIRST_CONTENT: FIRST_CONTENT,
    names.PENSTOCK_OVERHEAD: OVERHEAD,
    names.PENSTOCK_LEDGER_COMMIT_DURATION: COMMIT,
    names.PENSTOCK_EVENT_LOOP_LAG: LOOP_LAG,
}
_RULE = (names.PENSTOCK_TENANT, names.PENSTOCK_RULE_PER, names.PENSTOCK_RULE, names.PENSTOCK_RULE_SHADOW)
_COUNTS = {
    names.RPC_SERVER_CALL_DURATION: ("code", (names.RPC_RESPONSE_STATUS_CODE,)),
    names.GEN_AI_CLIENT_OPERATION_DURATION: ("attempts", (names.PENSTOCK_MODEL, names.ERROR_TYPE)),
    names.PENSTOCK_LIMIT_ADMISSIONS: ("admitted", _RULE),
    names.PENSTOCK_LIMIT_DENIALS: ("denied", _RULE),
    names.PENSTOCK_PRICE_UNKNOWN: ("unpriced", (names.PENSTOCK_MODEL,)),
    names.PENSTOCK_SHED: ("shed", ()),
    names.PENSTOCK_SPEND: ("cost", (names.PENSTOCK_TENANT, names.PENSTOCK_MODEL, names.PENSTOCK_WASTED)),
}
_METHODS = {method.path.removeprefix("/") for method in GENERATING}


class Counters:
    """Every number since the start.

    Kinds of counters, and what their keys tell: code (code), ended (tenant or "", code, reason), attempts (model,
    reason), admitted and denied (tenant, per, rule, shadow), unpriced (model), cost (tenant, model, wasted), shed (),
    dropped (signal).
    """

    def __init__(self, instruments: Instruments, tally: Tally, dropped: Callable[[], Mapping[str, int]]) -> None:
        """Read these, and the telemetry that was dropped, by signal; what nobody measures yet counts nothing."""
        self._instruments = instruments
        self._tally = tally
        self._dropped = dropped

    def read(self) -> Reading:
        """Return all of it as it is now."""
        counts: dict[str, Mapping[Key, int]] = {
            "ended": dict(self._tally.ended_by),
            "dropped": {(signal,): count for signal, count in self._dropped().items()},
        }
        distributions: dict[str, Distribution] = {}
        extremes: dict[str, Extremes] = {}
        for histogram in self._instruments.histograms:
            all_series = list(_of_calls(histogram))
            counts |= _counted(histogram.name, ((labels, sum(series.counts)) for labels, series in all_series))
            if name := _HISTOGRAMS.get(histogram.name):
                if name == CALL:
                    all_series = [each for each in all_series if not _is_refusal(each[0])]
                distributions[name] = together(_distribution(histogram, series) for _, series in all_series)
                extremes[name] = _extremes(series for _, series in all_series)
        for counter in self._instruments.counters:
            counts |= _counted(counter.name, ((labels, count.value) for labels, count in counter.series))
        return Reading(counts=counts, distributions=distributions, extremes=extremes)

    def cut(self) -> None:
        """Begin the extremes anew."""
        for histogram in self._instruments.histograms:
            if histogram.name in _HISTOGRAMS:
                for _, series in histogram.series:
                    series.cut()


def failed(reading: Reading) -> int:
    """How many calls ended by the daemon's fault or a model's."""
    return sum(reading.count("code", code) for code in FAULTS)


def refused(reading: Reading) -> int:
    """How many calls got no answer otherwise: they were refused, or their callers left."""
    return reading.count("code") - reading.count("code", "OK") - failed(reading)


def _of_calls(histogram: Histogram) -> Iterator[tuple[dict[str, str], Series]]:
    """The series, without those of methods that ask no agent: they would make calls look faster than they are."""
    for labels, series in histogram.series:
        if names.RPC_METHOD not in labels or labels[names.RPC_METHOD] in _METHODS:
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


def _counted(instrument: str, series: Iterable[tuple[Mapping[str, str], int]]) -> Mapping[str, Mapping[Key, int]]:
    """What an instrument has counted, by kind and by the labels that are its key; nothing where nobody asks for it."""
    if instrument not in _COUNTS:
        return {}
    kind, key = _COUNTS[instrument]
    counts = Counter[Key]()
    for labels, count in series:
        counts[tuple(labels.get(label, "") for label in key)] += count
    return {kind: counts}
