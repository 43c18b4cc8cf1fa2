"""Whatever models and the ledger do, and whenever callers leave, the accounts come out even."""

import asyncio
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from fakes.metering import MeteredCalls, a_budget, left
from fakes.model_calls import Asked
from fakes.scripted_model import HANGS, Answer, ScriptedModel
from penstockd.ledger import EntryStatus, LedgerUnavailable
from penstockd.limits import BudgetState
from penstockd.model import Timeouts
from penstockd.resilience.allowance import Allowance
from penstockd.resilience.circuit import BreakerPolicy
from penstockd.resilience.token_bucket import TokenBucket
from penstockd.rules import LimitRule, Per, Rate
from penstockd.upstream import Broken, CoolingDown, Filtered, Misconfigured, UpstreamFailure
from penstockd.usage import Usage

FAILURES: st.SearchStrategy[UpstreamFailure] = st.one_of(
    st.builds(Broken, st.just("broken"), reason=st.sampled_from(["connection_reset", "server_error", "truncated"])),
    st.builds(CoolingDown, st.just("429")),
    st.builds(Misconfigured, st.just("401")),
    st.builds(Filtered, st.just("filter")),
)
STEPS = st.one_of(
    st.sampled_from([0.1, 1.0, 3.0]),
    st.sampled_from(["text", "more text"]),
    st.builds(Usage, uncached_input=st.integers(0, 9), cached_input=st.integers(0, 2), output=st.integers(0, 50)),
)
LAST = st.one_of(st.just(()), st.tuples(FAILURES), st.tuples(st.just(HANGS)), st.tuples(st.just(ZeroDivisionError())))
ANSWERS: st.SearchStrategy[Answer] = st.builds(lambda steps, last: (*steps, *last), st.lists(STEPS, max_size=4), LAST)
SCRIPTS = st.lists(st.lists(ANSWERS, max_size=4), min_size=1, max_size=3)
LEAVES = st.lists(st.sampled_from([None, 0.0, 0.05, 0.5, 1.0, 2.0]), min_size=1, max_size=6)
FAULTS = st.lists(st.sampled_from([None, None, LedgerUnavailable("full")]), max_size=6)
TAKES = st.sampled_from([0.0, 0.05, 1.0])
LIMIT = 3_000
REQUESTS, TOKENS = 100, 100_000
RULES = replace(
    a_budget(LIMIT), limits=[LimitRule(per=Per.TENANT, tokens=Rate(per_second=1e-9, burst=2_000, text="2000/y"))]
)


@settings(max_examples=250)
@given(
    scripts=SCRIPTS, leaves=LEAVES, holds=FAULTS, settles=FAULTS, hold_takes=TAKES, settle_takes=TAKES, distance=TAKES
)
def test_every_ending_leaves_the_accounts_even(
    *,
    scripts: list[list[Answer]],
    leaves: list[float | None],
    holds: list[BaseException | None],
    settles: list[BaseException | None],
    hold_takes: float,
    settle_takes: float,
    distance: float,
) -> None:
    """Nothing stays held; ledger, budget, limits, grants and what callers are told agree to the nano-dollar."""
    calls = MeteredCalls(RULES, settle_takes=distance)
    calls.ledger.hold_fails, calls.ledger.settle_fails = holds, settles
    calls.ledger.hold_takes, calls.ledger.settle_takes = hold_takes, settle_takes
    policy = BreakerPolicy(consecutive_failures=2, open_for=0.3)
    models = [
        calls.model(
            str(number),
            *script,
            max_in_flight=3,
            policy=policy,
            timeouts=Timeouts(first_token=2, idle=2),
            allowance=Allowance(
                requests=TokenBucket(1e-9, REQUESTS, calls.clock), tokens=TokenBucket(1e-9, TOKENS, calls.clock)
            ),
        )
        for number, script in enumerate(scripts)
    ]

    asked, budgets, last = calls.run(asked_at_once(calls, models, leaves))

    assert all(budget.spent + budget.held <= LIMIT for budget in budgets)
    assert last == BudgetState(spent=calls.ledger.cost, held=0)
    calls.assert_settled(*models)
    for model in models:
        assert_grants_are_even(calls, model)
    for each in asked:
        assert_told_as_written(calls, each)


async def asked_at_once(
    calls: MeteredCalls, models: Sequence[ScriptedModel], leaves: Sequence[float | None]
) -> tuple[list[Asked], list[BudgetState], BudgetState]:
    """One call per entry of `leaves`, each cancelled after as many seconds, and how the budget stood all the while."""
    budgets: list[BudgetState] = []

    async def look() -> None:
        while True:
            budgets.append(await calls.budget())
            await calls.clock.sleep(0.05)

    looking = asyncio.ensure_future(look())
    asked = await asyncio.gather(
        *(calls.ask(*models) if after is None else calls.cancelled(*models, after=after) for after in leaves)
    )
    looking.cancel()
    return asked, budgets, await calls.settled()


def assert_grants_are_even(calls: MeteredCalls, model: ScriptedModel) -> None:
    """A provider's grant has lost what was sent and used, and nothing else."""
    used = sum(entry.usage.total for entry in calls.ledger.entries if entry.model == model.name)
    assert left(model) == (REQUESTS - len(model.calls), TOKENS - used)


def assert_told_as_written(calls: MeteredCalls, asked: Asked) -> None:
    """Each attempt that was made has one row, which costs what the caller is told; a row without one costs nothing."""
    written = {entry.attempt: entry for entry in calls.ledger.entries if entry.call_id == asked.outcome.call_id}
    for attempt in asked.outcome.attempts:
        entry = written.pop(attempt.ordinal)
        assert (entry.cost_nanousd, entry.is_estimated) == (attempt.cost_nanousd, attempt.is_estimated)
        assert (entry.status is EntryStatus.OK) == attempt.is_complete
    assert all(entry.cost_nanousd == 0 for entry in written.values())
    if asked.heard.completed is not None:
        assert asked.outcome.attempts[-1].is_complete
