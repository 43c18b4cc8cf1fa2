"""A budget holds at every instant, as anybody who asks can see."""

import asyncio
import signal
from pathlib import Path

import penstock
from fakes import answers
from fakes.billing import SELLERS, Biller, Conduct
from fakes.bookkeeping import settled_rows
from fakes.crowd import Crowd
from fakes.models import openai
from fakes.stage import NEVER_OPENS
from fakes.upstream import LAST_CHUNK, STREAM_HEAD, Received, Script, Upstream, chunk, response, stream
from peers.live_daemon import Daemons
from penstock.v1.usage_service_pb2 import BudgetState
from penstockd.usage import Usage

NANO = 1_000_000_000
CALLS = 600
LIMIT = 0.02
DEAREST = 0.001
"""More USD than any one call holds."""
PATIENCE = 20.0


async def test_spent_and_held_never_exceed_the_budget(daemons: Daemons, upstream: Upstream, tmp_path: Path) -> None:
    """However many call at once, leave and fail over; in the end nothing is held and the ledger says the same."""
    upstream.respond(Biller(1, {Conduct.WELL: 60, Conduct.SLOWLY: 20, Conduct.CUT: 10, Conduct.ERROR: 10}).respond)
    daemon = await daemons.start(
        environ={"PENSTOCK_STATE_DIR": str(tmp_path / "state")},
        models={name: seller.settings(upstream.url, name) for name, seller in SELLERS.items()},
        agents={name: {"route": {"models": ["large", "claude"]}} for name in ("cheap", "dear", "other")},
        default_agent="cheap",
        circuit_breaker=NEVER_OPENS,
        tenants={"default": {"budgets": [{"per": "tenant", "usd": LIMIT, "period": "total"}]}},
    )
    crowd, seen = Crowd(1), list[BudgetState]()

    async with penstock.AgentClient(daemon.target) as client:
        watching = asyncio.create_task(watch(client, seen))
        await crowd.call(client, CALLS)
        rows = await settled_rows(tmp_path / "state" / "ledger.db")
        watching.cancel()
        [budget] = (await client.get_usage()).budgets

    assert len(seen) > 10
    assert any(state.held_nanousd for state in seen)
    assert max(state.spent_nanousd + state.held_nanousd for state in seen) <= LIMIT * NANO
    assert (budget.spent_nanousd, budget.held_nanousd) == (sum(row.cost for row in rows), 0)
    assert budget.spent_nanousd > (LIMIT - 12 * DEAREST) * NANO
    assert "BUDGET_EXHAUSTED" in crowd.refused.values()


async def test_money_for_ten_calls_admits_exactly_ten(daemons: Daemons, upstream: Upstream) -> None:
    """Of thirty at once, where each costs what it was estimated at; over both RPCs."""
    usage = Usage(uncached_input=9, output=100)

    def exact(request: Received) -> Script:
        if b'"stream":true' in request.body:
            return stream(*answers.openai_events(["hel", "lo"], usage))
        return (response(answers.openai_answer("hello", usage)),)

    upstream.respond(exact)
    daemon = await daemons.start(
        models={"fast": openai(upstream, price={"input": 1, "output": 100})},
        tenants={"default": {"budgets": [{"per": "tenant", "usd": 10 * (9 * 1 + 100 * 100) / 1e6, "period": "day"}]}},
    )

    async with penstock.AgentClient(daemon.target) as client:
        ended = await asyncio.gather(*(outcome(client, streams=number % 2 == 0) for number in range(30)))
        [budget] = (await client.get_usage()).budgets
    line = await daemon.line("call finished", reason="BUDGET_EXHAUSTED")

    assert (line["subject"], line["rule"], line["agent"]) == ("tenant:default", budget.rule, "default")
    assert (ended.count("answered"), ended.count("BUDGET_EXHAUSTED")) == (10, 20)
    assert (budget.spent_nanousd, budget.held_nanousd) == (budget.limit_nanousd, 0)
    assert upstream.calls == 10
    await daemon.stop()
    assert len(daemon.logged("budget alert")) == 3


async def test_spending_outlives_the_daemon(daemons: Daemons, upstream: Upstream, tmp_path: Path) -> None:
    """A restart gives no new money."""
    upstream.answer_always(response(answers.openai_answer("hello", Usage(uncached_input=9, output=100))))
    states: list[BudgetState] = []
    ended: list[str] = []

    for _ in range(2):
        daemon = await daemons.start(
            environ={"PENSTOCK_STATE_DIR": str(tmp_path / "state")},
            models={"fast": openai(upstream, price={"input": 1, "output": 100})},
            tenants={"default": {"budgets": [{"per": "tenant", "usd": 0.0151, "period": "total"}]}},
        )
        async with penstock.AgentClient(daemon.target) as client:
            ended.append(await outcome(client, streams=False))
            states += (await client.get_usage()).budgets
        await daemon.stop()

    assert ended == ["answered", "BUDGET_EXHAUSTED"]
    assert [state.spent_nanousd for state in states] == [10_009_000, 10_009_000]


async def test_what_a_killed_daemons_call_has_crossed_is_told_at_the_next_start(
    daemons: Daemons, upstream: Upstream, tmp_path: Path
) -> None:
    """Once: its call is charged its estimate, and no other settles."""
    alerts: list[float] = []

    for ends_badly in (True, False, False):
        daemon = await daemons.start(
            environ={"PENSTOCK_STATE_DIR": str(tmp_path / "state")},
            models={"fast": openai(upstream, price={"input": 1, "output": 100})},
            tenants={"default": {"budgets": [{"per": "tenant", "usd": 0.015, "period": "total"}]}},
        )
        alerts += [line["fraction"] for line in daemon.logged("budget alert")]
        if ends_badly:
            async with penstock.AgentClient(daemon.target) as client:
                calling = asyncio.create_task(client.process("hello", max_output_tokens=100))
                await upstream.received()
                daemon.signal(signal.SIGKILL)
                await daemon.exit_code()
                await asyncio.wait([calling])
        else:
            await daemon.stop()

    assert alerts == [0.5]


async def test_a_budget_that_a_reload_adds_counts_what_was_under_way(daemons: Daemons, upstream: Upstream) -> None:
    """Once, and with what was spent before: in the end it says what the ledger says."""
    usage, go_on = Usage(uncached_input=9, output=100), asyncio.Event()
    first, *rest = answers.openai_events(["hel", "lo"], usage)[1:]
    upstream.answer(response(answers.openai_answer("hello", usage)))
    upstream.answer(STREAM_HEAD, chunk(first), go_on, *map(chunk, rest), LAST_CHUNK)
    models = {"fast": openai(upstream, price={"input": 1, "output": 100})}
    tenants = {"default": {"budgets": [{"per": "tenant", "usd": 1, "period": "total"}]}}
    daemon = await daemons.start(models=models)

    async with penstock.AgentClient(daemon.target) as client, asyncio.timeout(PATIENCE):
        await client.process("before", max_output_tokens=100)
        stream = client.stream("meanwhile", max_output_tokens=100)
        await anext(stream)
        daemons.configure(models=models, tenants=tenants)
        daemon.signal(signal.SIGHUP)
        spent = 0
        while not spent:
            spent = sum([budget.spent_nanousd for budget in (await client.get_usage()).budgets])
        go_on.set()
        async for _ in stream:
            pass
        usages = await client.get_usage()

    assert spent == 10_009_000
    assert [(budget.spent_nanousd, budget.held_nanousd) for budget in usages.budgets] == [(2 * spent, 0)]
    assert usages.total.cost_nanousd == 2 * spent


async def watch(client: penstock.AgentClient, seen: list[BudgetState]) -> None:
    """Look at the budget again and again."""
    while True:
        seen += (await client.get_usage()).budgets


async def outcome(client: penstock.AgentClient, *, streams: bool) -> str:
    """Ask, and return how that ended."""
    try:
        if streams:
            async with client.stream("hello", max_output_tokens=100) as stream:
                async for _ in stream:
                    pass
        else:
            await client.process("hello", max_output_tokens=100)
    except penstock.PenstockError as error:
        return error.reason
    return "answered"
