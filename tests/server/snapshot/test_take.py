"""A snapshot shows the whole daemon at one moment."""

import asyncio
from collections.abc import Iterable

import msgspec
import pytest

from fakes.calls import Inner, a_call
from fakes.clock import FakeClock
from fakes.demands import ONE, rate, standing
from fakes.scripted_model import ScriptedModel
from penstockd import conventions as names
from penstockd.answers import Lookups
from penstockd.budgets import Standing
from penstockd.changes import Changes
from penstockd.errors import Overloaded, RateLimited
from penstockd.health import Health
from penstockd.interceptors.accounting.denials import Denials
from penstockd.interceptors.accounting.price_alarm import PriceAlarm
from penstockd.interceptors.flights.flights import Flights
from penstockd.interceptors.shed import Shed
from penstockd.ledger import NoLedger
from penstockd.limits import Denial, Verdict
from penstockd.logs.log import Log
from penstockd.metrics.attempt_metrics import AttemptMetrics
from penstockd.metrics.call_metrics import CallMetrics
from penstockd.metrics.instruments import Count, Instruments
from penstockd.metrics.loop_lag import LoopLag
from penstockd.metrics.recent import SLICE
from penstockd.metrics.tally import Tally
from penstockd.metrics.tenant_labels import TenantLabels
from penstockd.outcome import Attempt, Outcome
from penstockd.principal import Principal
from penstockd.resilience.permits import Permits
from penstockd.snapshot.counters import Counters
from penstockd.snapshot.shape import Problem, Snapshot
from penstockd.snapshot.take import Snapshots, Sources
from penstockd.stores.answers.bounded_memory import BoundedMemoryCache


class Scene:
    """A daemon's parts, and the snapshots of them."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.instruments = Instruments()
        self.permits = Permits(limit=10)
        self.changes = Changes(self.clock)
        self.health = Health([])
        self.models = {name: ScriptedModel(name, clock=self.clock).model for name in ("slow", "fast")}
        self.standings: Iterable[Standing] = ()
        self.dropped = {"logs": 0, "spans": 0}
        self.refused = ""
        self.replays = Count()
        self.keyed_flights = Flights(FakeClock(), log=Log("test"))
        self.certificate_expires_at: float | None = None
        self.snapshots = Snapshots(
            Sources(
                models=lambda: self.models,
                environment=lambda: "staging",
                has_cache=lambda: True,
                refused=lambda: self.refused,
                standings=lambda: self.standings,
                health=self.health,
                ledger=NoLedger(),
                in_flight=self.permits,
                cache=BoundedMemoryCache(max_entries=5, max_bytes=100, clock=self.clock),
                lookups=Lookups(hits=3, misses=1),
                flights=Flights(FakeClock(), log=Log("test")),
                replays=self.replays,
                keyed_flights=self.keyed_flights,
                changes=self.changes,
                certificate_expires_at=lambda: self.certificate_expires_at,
            ),
            Counters(self.instruments, tally := Tally(TenantLabels()), lambda: self.dropped),
            clock=self.clock,
            version="9.9",
        )
        self._tally = tally
        self._calls = CallMetrics(self.instruments)
        self._spend = self.instruments.counter(
            names.PENSTOCK_SPEND,
            unit="usd",
            description="",
            labels=(names.PENSTOCK_MODEL, names.PENSTOCK_TENANT, names.PENSTOCK_WASTED),
        )

    def call(self, code: str = "OK", reason: str = "", *, seconds: float = 0.1) -> None:
        """Have a call of acme end; without a reason it is as the code."""
        call = a_call("hello", outcome=Outcome(principal=Principal(tenant="acme")))
        self._calls.ended(call, code=code, error_type="" if code == "OK" else code, duration=seconds)
        self._tally.ended(call, code, reason or ("" if code == "OK" else code))

    def spend(self, nanousd: int, *, wasted: str = "false") -> None:
        """Have an attempt cost something."""
        self._spend.of("fast", "acme", wasted).add(nanousd)

    def take(self) -> Snapshot:
        """One snapshot."""
        return self.snapshots.take()


async def test_calls_are_shown_by_how_they_ended() -> None:
    """In all, and of late, with what they took."""
    scene = Scene()
    scene.call(seconds=0.2)
    scene.call("UNAVAILABLE", seconds=0.4)

    it = scene.take()

    assert (it.calls.total, it.calls.by_code) == (2, {"OK": 1, "UNAVAILABLE": 1})
    assert it.calls.last_5m_by_code == it.calls.by_code
    call = it.durations.call.since_start
    assert (call.count, call.min, call.max) == (2, 0.2, 0.4)
    assert it.durations.call.last_5m == call
    assert it.durations.first_content.since_start.count == 0
    assert [(row.tenant, row.calls, row.errors) for row in it.tenants] == [("acme", 2, 1)]


async def test_calls_without_an_answer_failed_or_were_refused() -> None:
    """To leave is not to fail."""
    scene = Scene()
    for code in ("OK", "DEADLINE_EXCEEDED", "INTERNAL", "UNAVAILABLE", "CANCELLED", "RESOURCE_EXHAUSTED"):
        scene.call(code)

    it = scene.take()

    assert (it.calls.last_5m_failed, it.calls.last_5m_refused) == (3, 2)


async def test_why_calls_failed_is_shown() -> None:
    """Of several reasons that are one status the commonest first; what was refused or left is no failure."""
    scene = Scene()
    shed = Shed(Permits(limit=0), random=lambda: 0.5, instruments=scene.instruments)
    scene.call("UNAVAILABLE", "MODELS_UNAVAILABLE")
    for _ in range(2):
        with pytest.raises(Overloaded):
            await shed(a_call("hello"), Inner())
        scene.call("UNAVAILABLE", "OVERLOADED")
    scene.call("INTERNAL", "UPSTREAM_MISCONFIGURED")
    scene.call("RESOURCE_EXHAUSTED", "RATE_LIMITED")
    scene.call("CANCELLED")
    scene.call()

    calls = scene.take().calls

    assert calls.by_reason == {"OVERLOADED": 2, "MODELS_UNAVAILABLE": 1, "UPSTREAM_MISCONFIGURED": 1}
    assert next(iter(calls.by_reason)) == "OVERLOADED"
    assert calls.last_5m_by_reason == calls.by_reason
    assert (calls.shed, calls.last_5m_shed) == (2, 2)


async def test_refusals_do_not_hide_how_long_calls_take() -> None:
    """A flood of them is fast."""
    scene = Scene()
    scene.call(seconds=0.2)
    for _ in range(100):
        scene.call("RESOURCE_EXHAUSTED", seconds=0.0002)

    it = scene.take()

    assert (it.calls.total, it.durations.call.since_start.count, it.durations.call.last_5m.min) == (101, 1, 0.2)


async def test_traffic_is_shown_slice_by_slice() -> None:
    """A reader sees what came when, and what it cost."""
    scene = Scene()
    keeping = asyncio.create_task(scene.snapshots.keep_up())
    scene.call()
    scene.call("RESOURCE_EXHAUSTED")
    scene.call("INTERNAL", seconds=1.5)
    scene.spend(700)
    for _ in range(int(SLICE) + 1):
        await asyncio.sleep(0)
        scene.clock.advance(1)
    await asyncio.sleep(0)
    keeping.cancel()

    (point,) = scene.take().traffic

    assert (point.calls, point.errors, point.refused, point.cost_nanousd) == (3, 1, 1, 700)
    assert point.p99 is not None
    assert 1.0 < point.p99 <= 1.5


async def test_old_calls_leave_the_last_five_minutes() -> None:
    """And stay in what is since the start; those that a limit let pass leave the last minute."""
    scene = Scene()
    demand, denials = rate(), Denials(scene.instruments, TenantLabels())
    denials.judge(Verdict(), [demand])
    with pytest.raises(RateLimited):
        denials.judge(Verdict(denial=Denial(demand=demand, asked=ONE, retry_after=1.0)), [demand])
    with pytest.raises(Overloaded):
        await Shed(Permits(limit=0), random=lambda: 0.5, instruments=scene.instruments)(a_call("hello"), Inner())
    scene.call("UNAVAILABLE", "OVERLOADED")
    scene.call(seconds=5.0)
    keeping = asyncio.create_task(scene.snapshots.keep_up())
    for _ in range(330):
        await asyncio.sleep(0)
        scene.clock.advance(1)
    keeping.cancel()

    it = scene.take()

    assert (it.durations.call.since_start.max, it.durations.call.last_5m.count) == (5.0, 0)
    assert (it.calls.total, it.calls.last_5m_by_code) == (2, {})
    assert (it.calls.by_reason, it.calls.last_5m_by_reason) == ({"OVERLOADED": 1}, {})
    assert (it.calls.shed, it.calls.last_5m_shed) == (1, 0)
    assert [(row.denials, row.admissions_last_minute) for row in it.limits] == [(1, 0)]
    assert len(it.traffic) == 30


async def test_the_pool_is_shown_as_it_is_now() -> None:
    """By name, with why a circuit keeps calls out, and for how long."""
    scene = Scene()
    scene.models["fast"].breaker.force_open("test")
    scene.models["slow"].breaker.disable()

    fast, slow = scene.take().models

    assert (fast.name, fast.state, fast.cause) == ("fast", "open", "test")
    assert fast.next_probe_in is not None
    assert fast.next_probe_in > 0
    assert (slow.name, slow.state, slow.next_probe_in) == ("slow", "disabled", None)
    assert "No model can be used" in scene.take().problems[0].text


async def test_a_model_that_asked_for_patience_is_shown_so() -> None:
    """Its circuit stays closed."""
    scene = Scene()
    scene.models["fast"].breaker.cool_down(12.0)

    fast = scene.take().models[0]

    assert (fast.state, fast.cooldown) == ("closed", 12.0)


async def test_denials_name_their_victim() -> None:
    """The rule, whom it binds, and how often of late, beside those that it let pass."""
    scene = Scene()
    demand = rate()
    denials = Denials(scene.instruments, TenantLabels())
    for _ in range(4):
        with pytest.raises(RateLimited):
            denials.judge(Verdict(denial=Denial(demand=demand, asked=ONE, retry_after=1.0)), [demand])
    denials.judge(Verdict(), [demand])

    it = scene.take()

    [row] = it.limits
    assert (row.tenant, row.rule, row.denials_last_minute, row.admissions_last_minute) == ("acme", "1/s requests", 4, 1)
    assert (
        it.problems[0].text
        == "Callers of acme (per user) are being denied by 1/s requests: 4 denials in the last minute."
    )


async def test_a_price_that_nobody_knows_is_told_of_while_it_refuses_calls() -> None:
    """By the model that lacks it; a minute later it is over."""
    scene = Scene()
    alarm = PriceAlarm(clock=scene.clock, log=Log("penstockd"), instruments=scene.instruments)
    keeping = asyncio.create_task(scene.snapshots.keep_up())
    for _ in range(4):
        alarm.sound("fast")

    it = scene.take()
    for _ in range(90):
        await asyncio.sleep(0)
        scene.clock.advance(1)
    keeping.cancel()

    assert [(problem.what, problem.subject) for problem in told(it)] == [("price", "fast")]
    assert told(it)[0].text.endswith("refused, 4 in the last minute.")
    assert told(scene.take()) == []


async def test_money_is_shown() -> None:
    """What was spent, what of it for nothing, on which model and for whom."""
    scene = Scene()
    scene.spend(900)
    scene.spend(100, wasted="true")
    scene.standings = [standing(limit=1000, spent=1000)]

    it = scene.take()

    assert (it.spend.nanousd, it.spend.wasted_nanousd, it.spend.last_5m_nanousd) == (1000, 100, 1000)
    assert it.models[0].cost_nanousd == it.tenants[0].cost_nanousd == 1000
    assert it.budgets[0].fraction == 1.0
    assert it.problems[0].what == "budget"


async def test_the_rest_is_shown_too() -> None:
    """The cache, readiness, what was dropped, what has changed, and since when it runs."""
    scene = Scene()
    scene.permits.take()
    scene.changes.add("circuit", "fast", "open", "timeout")
    scene.dropped["logs"] = 7
    scene.refused = "models.a"
    scene.replays.add(4)
    scene.keyed_flights.joins = 2
    scene.clock.advance(90)

    it = scene.take()

    assert (it.version, it.environment, it.uptime_seconds, it.at - it.started_at) == ("9.9", "staging", 90, 90)
    assert (it.cache.hits, it.cache.misses, it.cache.max_entries, it.cache.enabled) == (3, 1, 5, True)
    assert (it.idempotency.replays, it.idempotency.joins) == (4, 2)
    assert (it.ready.ok, it.ready.reasons) == (False, ["starting"])
    assert (it.calls.in_flight, it.calls.limit) == (1, 10)
    assert (it.telemetry_dropped.logs, it.telemetry_dropped.metrics) == (7, 0)
    assert [change.subject for change in it.changes] == ["fast"]
    assert {problem.what for problem in it.problems} == {"configuration", "daemon", "telemetry"}


async def test_a_certificate_is_shown_before_it_expires() -> None:
    """When, and from two weeks before on as a problem."""
    scene = Scene()
    scene.certificate_expires_at = scene.clock.wall() + 86400

    it = scene.take()
    scene.certificate_expires_at = scene.clock.wall() + 90 * 86400
    later = scene.take()

    assert it.certificate_expires_at == scene.clock.wall() + 86400
    assert [(each.severity, each.what) for each in told(it)] == [("critical", "certificate")]
    assert told(later) == []


async def test_a_model_that_is_asked_in_vain_is_shown() -> None:
    """With the share of what came to nothing, and why."""
    scene = Scene()
    metrics = AttemptMetrics(scene.instruments, TenantLabels())
    for _ in range(6):
        attempt = Attempt(model="fast", started_at=0.0, asked_at=0.0, answered_at=4.0, reason="deadline")
        metrics.ended(a_call("hello"), scene.models["fast"], attempt)
        scene.models["fast"].breaker.came_to_nothing()

    fast, slow = (it := scene.take()).models

    assert (fast.error_rate, fast.blameless, slow.blameless) == (0.0, 1.0, 0.0)
    assert (fast.calls, fast.calls_last_5m) == (6, 6)
    [problem] = told(it)
    assert (
        "fast is asked in vain: 100% of its attempts come to nothing by nobody's fault, most with deadline, 6"
        in problem.text
    )


async def test_a_stall_is_shown_and_passes() -> None:
    """For a minute as what it was; in percentiles as the share of the time that it took."""
    scene = Scene()
    tasks = [asyncio.create_task(scene.snapshots.keep_up())]
    tasks.append(asyncio.create_task(LoopLag(scene.instruments, clock=scene.clock).watch()))
    await pass_time(scene, 200)
    scene.clock.advance(3.95)
    await pass_time(scene, 1)

    it = scene.take()
    await pass_time(scene, 700)
    for task in tasks:
        task.cancel()

    assert it.loop_lag.last_5m.p99 is not None
    assert it.loop_lag.last_5m.p99 > 1
    assert [each.text.partition(",")[0] for each in it.problems if each.subject == "penstockd"][-1] == (
        "The event loop stood still for 3.9 s within about the last minute"
    )
    assert "stood still" not in str(scene.take().problems)


async def pass_time(scene: Scene, looks: int) -> None:
    """Let time pass evenly, a tenth of a second at a time."""
    for _ in range(looks):
        for _ in range(3):
            await asyncio.sleep(0)
        scene.clock.advance(0.1)
        for _ in range(3):
            await asyncio.sleep(0)


async def test_a_snapshot_is_json() -> None:
    """An infinite wait included."""
    scene = Scene()
    scene.models["fast"].breaker.disable()

    read = msgspec.json.decode(msgspec.json.encode(scene.take()))

    assert read["models"][0]["next_probe_in"] is None


def told(it: Snapshot) -> list[Problem]:
    """The problems, but for that the daemon here is never ready."""
    return [problem for problem in it.problems if problem.what != "daemon"]
