"""Shows how the daemon itself stands: what it is, what it has in flight, and what gets lost."""

from collections.abc import Callable, Mapping

from penstockd import conventions as names
from penstockd.gauges.gauges import Gauges
from penstockd.grpc_adapter import Adapter
from penstockd.ledger import Ledger


def show_build(gauges: Gauges, version: str) -> None:
    """Show which version runs."""
    gauges.numbers(
        names.PENSTOCK_BUILD_INFO, lambda: [(1, {names.PENSTOCK_VERSION: version})], description="Which version runs."
    )


def show_calls(gauges: Gauges, adapter: Adapter) -> None:
    """Show the calls that are under way, and those whose readers stalled."""
    gauges.number(names.PENSTOCK_CALLS_IN_FLIGHT, lambda: adapter.in_flight, description="Calls under way.")
    gauges.count(
        names.PENSTOCK_READER_STALLS,
        lambda: adapter.stalls,
        unit="{call}",
        description="Calls cut because their readers took nothing.",
    )


def show_ledger(gauges: Gauges, ledger: Ledger) -> None:
    """Show whether the ledger can be written, and what waits for it."""
    gauges.number(
        names.PENSTOCK_LEDGER_FAILING,
        lambda: float(bool(ledger.fault)),
        description="1 while the ledger cannot be written.",
    )
    gauges.number(
        names.PENSTOCK_LEDGER_WAITING,
        lambda: ledger.waiting,
        description="Settled rows that are not yet written.",
    )


def show_certificate(gauges: Gauges, expires_at: Callable[[], float]) -> None:
    """Show until when the certificate of the main port is good, in unix seconds."""
    gauges.number(
        names.PENSTOCK_CERTIFICATE_EXPIRES, expires_at, unit="s", description="When the certificate in use expires."
    )


def show_dropped(gauges: Gauges, dropped: Mapping[str, Callable[[], int]]) -> None:
    """Show how much of each signal was lost: logs, spans and metrics."""
    gauges.counts(
        names.PENSTOCK_TELEMETRY_DROPPED,
        lambda: [(read(), {names.PENSTOCK_SIGNAL: signal}) for signal, read in dropped.items()],
        description="Log lines, spans and exports of metrics that were lost.",
    )
