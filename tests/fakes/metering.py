"""A meter around scripted models, and the books that it keeps."""

import asyncio
from collections.abc import Sequence
from math import inf
from typing import Any

from fakes.model_calls import Asked, ModelCalls
from fakes.scripted_model import ScriptedModel
from fakes.telescope import Telescope
from penstockd.changes import Changes
from penstockd.clock import Clock
from penstockd.interceptors.accounting.added_budgets import AddedBudgets
from penstockd.interceptors.accounting.budget_alerts import BudgetAlerts
from penstockd.interceptors.accounting.denials import Denials
from penstockd.interceptors.accounting.holds import Holds
from penstockd.interceptors.accounting.price_alarm import PriceAlarm
from penstockd.interceptors.accounting.settlement import Settlements
from penstockd.interceptors.meter import Meter
from penstockd.ledger import Entry, EntryStatus, NoLedger
from penstockd.limits import Amounts, BudgetDemand, BudgetState, Crossing
from penstockd.logs.log import Log
from penstockd.metrics.tenant_labels import TenantLabels
from penstockd.model import Price
from penstockd.outcome import Outcome
from penstockd.period import Period
from penstockd.principal import Principal
from penstockd.resilience.allowance import Allowance
from penstockd.resilience.token_bucket import TokenBucket
from penstockd.rules import BudgetRule, Per, Rulebook, TenantRules
from penstockd.stores.memory_limits import MemoryLimits

PRICE = Price(input=2_000_000, cached_input=1_000_000, cache_write=3_000_000, output=5_000_000)
"""Nano-USD per million tokens: 2 a token of input, 5 a token of output."""
INPUT, OUTPUT = 9, 100
"""Tokens that `a_prompt` is estimated at: "hello" takes 2, its message 4, every prompt 3; the output it allows."""
ESTIMATE = 2 * INPUT + 5 * OUTPUT
"""What an attempt is charged if its process dies, in nano-USD."""
HOLD = 3 * INPUT + 5 * OUTPUT
"""What an attempt holds of a budget: all of its input may be a cache write."""
BUDGET_KEY = "budget:total:0:tenant:acme"


class FakeLedger(NoLedger):
    """Keeps entries as a ledger does; takes its time, and fails when it is told to."""

    def __init__(self, clock: Clock) -> None:
        self.rows: dict[tuple[str, int], Entry] = {}
        self.settled: list[Entry] = []
        self.hold_takes = self.settle_takes = 0.0
        self.asked_until = inf
        self.hold_fails: list[BaseException | None] = []
        self.settle_fails: list[BaseException | None] = []
        self.release_fails: list[BaseException | None] = []
        self._clock = clock

    async def hold(self, entry: Entry, ends_at: float = inf) -> None:
        self.asked_until = ends_at
        await self._take_time(self.hold_takes, self.hold_fails)
        assert entry.status is EntryStatus.HELD
        assert _key(entry) not in self.rows, "an attempt is held once"
        self.rows[_key(entry)] = entry

    async def settle(self, entry: Entry) -> None:
        self.settled.append(entry)
        assert self.rows[_key(entry)].status is EntryStatus.HELD, "an attempt is settled once"
        if not (self.settle_takes or self.settle_fails):
            self.rows[_key(entry)] = entry
            return
        self._settling = asyncio.create_task(self._settle(entry))  # a cancelled caller does not take it along
        await asyncio.shield(self._settling)

    async def release(self, entry: Entry) -> None:
        assert self.rows.pop(_key(entry)).status is EntryStatus.HELD, "what is settled is not released"
        await self._take_time(0.0, self.release_fails)

    async def _settle(self, entry: Entry) -> None:
        try:
            await self._take_time(self.settle_takes, self.settle_fails)
        finally:
            self.rows[_key(entry)] = entry  # what cannot be written now is kept, and written later

    @property
    def entries(self) -> Sequence[Entry]:
        """Every row, in the order of their holds."""
        return list(self.rows.values())

    @property
    def cost(self) -> int:
        """What all rows come to."""
        return sum(entry.cost_nanousd or 0 for entry in self.rows.values())

    async def _take_time(self, seconds: float, fails: list[BaseException | None]) -> None:
        if seconds:
            await self._clock.sleep(seconds)
        error = fails.pop(0) if fails else None
        if error is not None:
            raise error


class DistantLimits(MemoryLimits):
    """Limits that are somewhere else: each settling takes some seconds, and a cancel may come in between."""

    is_local = False

    def __init__(self, clock: Clock, *, settle_takes: float) -> None:
        super().__init__(clock, random=lambda: 0.5)
        self._here = clock
        self._settle_takes = settle_takes

    async def settle(self, hold_id: str, used: Amounts | None) -> Sequence[Crossing]:
        await self._here.sleep(self._settle_takes)
        return await super().settle(hold_id, used)

    async def spend(self, demands: Sequence[BudgetDemand], nanousd: int) -> Sequence[Crossing]:
        await self._here.sleep(self._settle_takes)
        return await super().spend(demands, nanousd)


class MeteredCalls(ModelCalls):
    """Retry, meter and circuit breaker around scripted models, for one tenant, acme."""

    def __init__(self, rules: TenantRules | None = None, *, settle_takes: float = 0.0, **options: Any) -> None:  # noqa: ANN401
        self.telescope = Telescope()
        super().__init__(instruments=self.telescope.instruments, **options)
        self.store = (
            DistantLimits(self.clock, settle_takes=settle_takes)
            if settle_takes
            else MemoryLimits(self.clock, random=lambda: 0.5)
        )
        self.ledger = FakeLedger(self.clock)
        log = Log("test")
        self.settlements = Settlements(log)
        self.in_use = Rulebook({"acme": rules or TenantRules()})
        self.meter = Meter(
            rulebook=self.in_use,
            holds=Holds(
                self.store,
                settlements=self.settlements,
                denials=Denials(self.telescope.instruments, TenantLabels()),
            ),
            ledger=self.ledger,
            added_budgets=AddedBudgets(self.store, rulebook=lambda: self.in_use),
            alerts=BudgetAlerts(
                log=log,
                instruments=self.telescope.instruments,
                tenants=TenantLabels(),
                changes=Changes(self.clock),
            ),
            price_alarm=PriceAlarm(clock=self.clock, log=log, instruments=self.telescope.instruments),
            clock=self.clock,
            log=log,
        )
        self.handle = self.chain(self.meter)

    async def ask(self, *models: ScriptedModel, asked: Asked | None = None, **options: Any) -> Asked:  # noqa: ANN401
        """Make one call of acme's."""
        asked = asked or Asked(outcome=Outcome(principal=Principal(tenant="acme", key="web"), agent="support"))
        return await super().ask(*models, asked=asked, **options)

    def model(self, name: str, *script: Any, **options: Any) -> ScriptedModel:  # noqa: ANN401
        """A model on the same clock that has a price, unless it is given as None."""
        return super().model(name, *script, **{"price": PRICE, **options})

    async def budget(self) -> BudgetState:
        """How acme's budget stands."""
        return await self.store.budget(BUDGET_KEY)

    async def settled(self) -> BudgetState:
        """How acme's budget stands once everything is settled."""
        await self.settlements.idle()
        return await self.budget()

    def grant(self) -> Allowance:
        """What a provider grants: ten requests and 1,000 tokens, and hardly any more later."""
        return Allowance(requests=TokenBucket(1e-9, 10, self.clock), tokens=TokenBucket(1e-9, 1000, self.clock))

    @property
    def written(self) -> Sequence[tuple[str, EntryStatus, int | None, bool]]:
        """Model, status, cost and whether that is an estimate, of each entry."""
        return [(each.model, each.status, each.cost_nanousd, each.is_estimated) for each in self.ledger.entries]

    def assert_settled(self, *models: ScriptedModel) -> None:
        """Nothing is held or in flight any more, and each attempt was settled once."""
        assert self.holds == "0 holds"
        assert EntryStatus.HELD not in {entry.status for entry in self.ledger.entries}
        assert len(self.ledger.settled) == len(self.ledger.rows)
        assert [model.in_flight for model in models] == [0] * len(models)

    @property
    def holds(self) -> str:
        """How many holds there are, as the store tells it."""
        return repr(self.store).removesuffix(">").rpartition(", ")[2]


def a_budget(limit: int, **fields: Any) -> TenantRules:  # noqa: ANN401
    """So many nano-USD for acme, once and for all."""
    rule = BudgetRule(per=Per.TENANT, limit=limit, period=Period.TOTAL, text=f"{limit} nano-USD", **fields)
    return TenantRules(budgets=[rule])


def left(model: ScriptedModel) -> tuple[int, int]:
    """Requests and tokens that are left of what its provider grants."""
    allowance = model.model.allowance
    assert allowance.requests is not None
    assert allowance.tokens is not None
    return round(allowance.requests.remaining), round(allowance.tokens.remaining)


def _key(entry: Entry) -> tuple[str, int]:
    return entry.call_id, entry.attempt
