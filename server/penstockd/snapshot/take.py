"""Takes snapshots: puts what is known in many places on one page."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping

from msgspec import Struct
from msgspec.structs import replace

from penstockd.answers import Lookups
from penstockd.budgets import Standing
from penstockd.changes import Changes
from penstockd.clock import Clock
from penstockd.health import Health
from penstockd.interceptors.flights.flights import Flights
from penstockd.ledger import Ledger
from penstockd.metrics.instruments import Count
from penstockd.metrics.recent import SLICE, SLICES, Reading, Recent, Slice
from penstockd.model import Model
from penstockd.resilience.permits import Permits
from penstockd.snapshot.counters import (
    CALL,
    COMMIT,
    FIRST_CONTENT,
    LOOP_LAG,
    OVERHEAD,
    Counters,
    failed,
    refused,
)
from penstockd.snapshot.endings import by_tenant, together
from penstockd.snapshot.pool import model_rows
from penstockd.snapshot.problems import problems
from penstockd.snapshot.shape import (
    Cache,
    Calls,
    Dropped,
    Durations,
    Idempotency,
    LedgerRow,
    Point,
    Ready,
    Snapshot,
    Spend,
    Summaries,
)
from penstockd.snapshot.tenants import budget_rows, limit_rows, tenant_rows
from penstockd.stores.answers.bounded_memory import BoundedMemoryCache

WINDOW = SLICE * SLICES
MINUTE = 60.0
BREAKER_WINDOW = 30.0
"""Seconds of the attempts that explain the breakers' shares: as long as these remember, unless it is configured."""
LOOK_EVERY = 1.0
"""Seconds between two looks at whether a slice is over."""


class Sources(Struct, frozen=True, kw_only=True):
    """Where the parts of a snapshot come from; what a reload replaces is asked for anew each time."""

    models: Callable[[], Mapping[str, Model]]
    environment: Callable[[], str]
    has_cache: Callable[[], bool]
    refused: Callable[[], str]
    standings: Callable[[], Iterable[Standing]]
    health: Health
    ledger: Ledger
    in_flight: Permits
    cache: BoundedMemoryCache
    lookups: Lookups
    flights: Flights
    replays: Count
    keyed_flights: Flights
    changes: Changes
    certificate_expires_at: Callable[[], float | None]


class Snapshots:
    """Takes a snapshot whenever somebody looks; between looks it costs next to nothing."""

    def __init__(self, sources: Sources, counters: Counters, *, clock: Clock, version: str) -> None:
        """The daemon's uptime begins now."""
        self._from = sources
        self._counters = counters
        self._recent = Recent(counters.read, counters.cut, clock=clock)
        self._traffic: deque[Point] = deque(maxlen=SLICES)
        self._clock = clock
        self._version = version
        self._started_at = clock.wall()
        self._started = clock.monotonic()

    def take(self) -> Snapshot:
        """Return everything as it is now."""
        now = self._counters.read()
        lately, last_minute = (self._recent.last(seconds, now=now) for seconds in (WINDOW, MINUTE))
        it = Snapshot(
            version=self._version,
            environment=self._from.environment(),
            at=self._clock.wall(),
            started_at=self._started_at,
            uptime_seconds=self._clock.monotonic() - self._started,
            problems=(),
            ready=Ready(ok=not self._from.health.reasons, reasons=self._from.health.reasons),
            calls=self._calls(now, lately),
            durations=_durations(now, lately),
            traffic=list(self._traffic),
            models=model_rows(self._from.models().values(), now, lately),
            cache=self._cache(),
            idempotency=Idempotency(replays=self._from.replays.value, joins=self._from.keyed_flights.joins),
            limits=limit_rows(now, last_minute),
            tenants=tenant_rows(now, lately),
            budgets=budget_rows(self._from.standings()),
            spend=_spend(now, lately),
            ledger=self._ledger(now, lately),
            loop_lag=_summaries(LOOP_LAG, now, lately),
            telemetry_dropped=_dropped(now),
            certificate_expires_at=self._from.certificate_expires_at(),
            changes=self._from.changes.latest,
        )
        found = problems(
            it,
            attempts=self._recent.last(BREAKER_WINDOW, now=now).of("attempts"),
            last_minute=last_minute,
            lately=lately,
            refused=self._from.refused(),
        )
        return replace(it, problems=found)

    async def keep_up(self) -> None:
        """For ever, keep the last five minutes."""
        while True:
            await self._clock.sleep(LOOK_EVERY)
            if (ended := self._recent.keep_up()) is not None:
                self._traffic.append(_point(ended))

    def _calls(self, now: Reading, lately: Reading) -> Calls:
        permits = self._from.in_flight
        return Calls(
            in_flight=permits.in_flight,
            limit=permits.limit,
            total=now.count("code"),
            by_code=now.by("code"),
            by_reason=_reasons(now),
            shed=now.count("shed"),
            last_5m_by_code=lately.by("code"),
            last_5m_by_reason=_reasons(lately),
            last_5m_shed=lately.count("shed"),
            last_5m_failed=failed(lately),
            last_5m_refused=refused(lately),
        )

    def _ledger(self, now: Reading, lately: Reading) -> LedgerRow:
        ledger = self._from.ledger
        return LedgerRow(
            failing=bool(ledger.fault),
            fault=ledger.fault,
            waiting=ledger.waiting,
            commit=_summaries(COMMIT, now, lately),
        )

    def _cache(self) -> Cache:
        cache, lookups = self._from.cache, self._from.lookups
        return Cache(
            enabled=self._from.has_cache(),
            entries=len(cache),
            max_entries=cache.max_entries,
            bytes=cache.bytes,
            max_bytes=cache.max_bytes,
            hits=lookups.hits,
            misses=lookups.misses,
            joins=self._from.flights.joins,
            evictions=cache.evictions,
        )


def _reasons(reading: Reading) -> dict[str, int]:
    """Why calls failed, the commonest reason first."""
    return dict(together(by_tenant(reading).values()).reasons.most_common())


def _summaries(name: str, now: Reading, lately: Reading) -> Summaries:
    return Summaries(since_start=now.distribution(name).summary(), last_5m=lately.distribution(name).summary())


def _durations(now: Reading, lately: Reading) -> Durations:
    return Durations(
        call=_summaries(CALL, now, lately),
        first_content=_summaries(FIRST_CONTENT, now, lately),
        overhead=_summaries(OVERHEAD, now, lately),
    )


def _spend(now: Reading, lately: Reading) -> Spend:
    wasted = now.by("cost", 2).get("true", 0)
    return Spend(nanousd=now.count("cost"), wasted_nanousd=wasted, last_5m_nanousd=lately.count("cost"))


def _dropped(now: Reading) -> Dropped:
    return Dropped(**{signal: now.count("dropped", signal) for signal in Dropped.__struct_fields__})


def _point(of: Slice) -> Point:
    reading, took = of.reading, of.reading.distribution(CALL).summary()
    return Point(
        at=of.at,
        seconds=of.seconds,
        calls=reading.count("code"),
        errors=failed(reading),
        refused=refused(reading),
        p50=took.p50,
        p99=took.p99,
        cost_nanousd=reading.count("cost"),
    )
