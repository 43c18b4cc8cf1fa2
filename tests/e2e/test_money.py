"""The ledger is what the provider bills: to the nano-dollar where it said so, and flagged where it did not."""

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

import penstock
from fakes.billing import SELLERS, Biller, Charge, Conduct
from fakes.bookkeeping import Row, settled_rows
from fakes.crowd import LARGEST_OUTPUT, Crowd
from fakes.providers import ANTHROPIC
from fakes.stage import NEVER_OPENS
from fakes.upstream import Upstream, stream
from peers.live_daemon import Daemons, Penstockd
from peers.postgres import Postgres
from penstock.v1.usage_service_pb2 import UsageTotals
from penstockd.usage import Usage

SOAK = bool(os.environ.get("PENSTOCK_SOAK"))
CALLS = 2000
MANY = 1_000_000
"""More calls than there is time for."""
KILLS = 50 if SOAK else 5
SEED = 20261124
AGENTS = {"cheap": ["small", "large"], "dear": ["claude", "large"], "other": ["large", "claude", "small"]}
COUNTED = (Conduct.WELL, Conduct.SLOWLY)


@pytest.fixture
def biller(upstream: Upstream) -> Biller:
    """The upstream's bill."""
    biller = Biller(SEED)
    upstream.respond(biller.respond)
    return biller


async def start(daemons: Daemons, upstream: Upstream, **environ: str) -> Penstockd:
    """A daemon that sells on what the upstream sells."""
    return await daemons.start(
        environ=environ,
        models={name: seller.settings(upstream.url, name) for name, seller in SELLERS.items()},
        agents={name: {"route": {"models": models}} for name, models in AGENTS.items()},
        default_agent="cheap",
        circuit_breaker=NEVER_OPENS,
        retry={"base_delay": "10ms", "max_delay": "50ms"},
    )


@asynccontextmanager
async def client_of(daemon: Penstockd) -> AsyncIterator[penstock.AgentClient]:
    """A client of this daemon."""
    async with penstock.AgentClient(daemon.target) as client:
        yield client


async def test_the_ledger_is_the_bill(
    daemons: Daemons, upstream: Upstream, biller: Biller, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Over unary calls and streams, cancels, failing and truncating upstreams, and failovers."""
    daemon = await start(daemons, upstream, PENSTOCK_STATE_DIR=str(tmp_path / "state"))
    crowd = Crowd(SEED)

    async with client_of(daemon) as client:
        await crowd.call(client, CALLS)
        rows = await settled_rows(tmp_path / "state" / "ledger.db")
        total = (await client.get_usage()).total

    assert len(crowd.answered) + len(crowd.left) + len(crowd.refused) == CALLS
    assert_answers_are_written(crowd, rows)
    assert_every_charge_has_a_row(biller, rows)
    errors = assert_exact_where_counted(biller, crowd, rows)
    assert_adds_up(total, rows)
    assert all(charged / 3 < written < charged * 3 for written, charged in errors.values() if charged)
    with capsys.disabled():
        print(f"\n{told(crowd, rows, errors)}")  # noqa: T201 - the error is to be reported


async def test_a_failure_that_was_counted_costs_the_count(daemons: Daemons, upstream: Upstream, tmp_path: Path) -> None:
    """A refusal and an ask for a tool, whole or cut after their count; not what was cut before it."""
    daemon = await daemons.start(
        environ={"PENSTOCK_STATE_DIR": str(tmp_path / "state")},
        models={"claude": SELLERS["claude"].settings(upstream.url, "claude")},
        circuit_breaker=NEVER_OPENS,
        retry={"max_attempts": 1},
    )
    used = Usage(uncached_input=10, cached_input=101, cache_write_input=51, output=21)
    refused, asked = (ANTHROPIC.events(["n" * 400], used, ending) for ending in ("refusal", "tool_use"))
    exact = SELLERS["claude"].tariff.bill(used)
    begun = SELLERS["claude"].tariff.bill(replace(used, output=1))
    cut = SELLERS["claude"].tariff.bill(replace(used, output=100))
    script = [
        (refused, exact, False),
        (asked, exact, False),
        (refused[:-1], exact, False),
        (refused[:-2], cut, True),
        ([refused[0], ANTHROPIC.error], begun, True),
        ([ANTHROPIC.error], 0, False),
    ]

    async with client_of(daemon) as client:
        for events, _, _ in script:
            upstream.answer(*stream(*events))
            with pytest.raises(penstock.PenstockError):
                _ = [text async for text in client.stream("hi")]
        rows = await settled_rows(tmp_path / "state" / "ledger.db")
        total = (await client.get_usage()).total

    assert [(row.cost, bool(row.is_estimated)) for row in rows] == [(cost, guessed) for _, cost, guessed in script]
    assert_adds_up(total, rows)


async def test_what_was_never_sent_costs_nothing(daemons: Daemons, upstream: Upstream, tmp_path: Path) -> None:
    """The upstream leaves the handshake unanswered, and a caller leaves, or its time is up."""
    address = upstream.url.replace("http:", "https:")
    daemon = await daemons.start(
        environ={"PENSTOCK_STATE_DIR": str(tmp_path / "state")},
        models={"small": {**SELLERS["small"].settings(address, "small"), "timeouts": {"connect": "20s"}}},
    )

    async with client_of(daemon) as client:
        leaving = asyncio.create_task(client.process("hi"))
        await upstream.connected()
        leaving.cancel()
        await asyncio.wait([leaving])
        with pytest.raises(penstock.DeadlineExceeded):
            await client.process("hi", timeout=1.5)
        rows = await settled_rows(tmp_path / "state" / "ledger.db")

    assert [(row.status, row.cost, row.is_exact) for row in rows] == [("cancelled", 0, True), ("failed", 0, True)]


@pytest.mark.soak
@pytest.mark.timeout(20 + 5 * KILLS)
async def test_no_kill_loses_or_doubles_a_charge(
    daemons: Daemons, upstream: Upstream, biller: Biller, tmp_path: Path
) -> None:
    """What was answered is there once, and what was on its way is charged its estimate once."""
    crowd, moments = Crowd(SEED, leaves=0.1), random.Random(SEED)
    state = str(tmp_path / "state")

    for _ in range(KILLS):
        daemon = await start(daemons, upstream, PENSTOCK_STATE_DIR=state)
        async with client_of(daemon) as client:
            calling = asyncio.ensure_future(crowd.call(client, MANY))
            await asyncio.sleep(moments.uniform(0.1, 0.6))
            daemon.signal(signal.SIGKILL)
            await daemon.exit_code()
            calling.cancel()
            await asyncio.wait([calling])
    daemon = await start(daemons, upstream, PENSTOCK_STATE_DIR=state)
    async with client_of(daemon) as client:
        await crowd.call(client, 20)
        rows = await settled_rows(tmp_path / "state" / "ledger.db")
        total = (await client.get_usage()).total

    assert_answers_are_written(crowd, rows)
    assert_every_charge_has_a_row(biller, rows)
    assert_exact_where_counted(biller, crowd, rows)
    assert_adds_up(total, rows)
    lost = [row for row in rows if row.status == "lost"]
    assert lost, "the kills came when nothing was on its way"
    for row in lost:
        assert (row.is_estimated, row.cost) == (True, estimate(row.model, crowd.asked[row.question]))


async def test_a_restart_of_postgresql_loses_nothing(
    daemons: Daemons, upstream: Upstream, biller: Biller, postgres: Postgres
) -> None:
    """Calls are refused while it is away, and those that were on their way are answered and written later."""
    url, crowd = postgres.database(), Crowd(SEED)
    daemon = await start(daemons, upstream, DATABASE_URL=url)

    async with client_of(daemon) as client:
        calling = asyncio.ensure_future(crowd.call(client, MANY))
        await asyncio.sleep(0.5)
        await asyncio.to_thread(postgres.stop)
        await daemon.line("the ledger cannot be written")
        await asyncio.to_thread(postgres.start)
        await daemon.line("the ledger is written again")
        calling.cancel()
        await asyncio.wait([calling])
        await crowd.call(client, CALLS // 4)
        rows = await settled_rows(url)
        total = (await client.get_usage()).total

    assert "ACCOUNTING_UNAVAILABLE" in crowd.refused.values()
    assert_answers_are_written(crowd, rows)
    assert_every_charge_has_a_row(biller, rows)
    assert_exact_where_counted(biller, crowd, rows)
    assert_adds_up(total, rows)


def assert_answers_are_written(crowd: Crowd, rows: Sequence[Row]) -> None:
    """Each answer has one row that answered it, and its rows cost what the caller was told."""
    by_question: dict[str, list[Row]] = {}
    for row in rows:
        by_question.setdefault(row.question, []).append(row)
    for question, response in crowd.answered.items():
        attempts = [row for row in by_question[question] if row.status == "ok"]
        assert [row.model for row in attempts] == [response.model_used]
        assert sum(row.cost for row in by_question[question]) == response.cost_nanousd
        assert any(row.is_estimated for row in by_question[question]) == response.cost_estimated
    assert len({row.call_id for row in rows}) == len(by_question)


def assert_every_charge_has_a_row(biller: Biller, rows: Sequence[Row]) -> None:
    """Nothing is sent before the ledger knows."""
    written = Counter((row.question, row.model) for row in rows)
    charged = Counter((charge.question, charge.model) for charge in biller.charges)
    assert charged - written == Counter()


def assert_exact_where_counted(biller: Biller, crowd: Crowd, rows: Sequence[Row]) -> Mapping[str, tuple[int, int]]:
    """Pair the rows with the bill: those that claim to be exact are.

    Returns how much was written and how much billed where the provider did not say, by how it ended.
    """
    charges = {key: list(charged) for key, charged in biller.by_question.items()}
    for row in rows:
        if row.is_exact and row.cost:
            charges[row.question, row.model].remove(billed(row, charges[row.question, row.model]))
    left = [charge for charged in charges.values() for charge in charged]
    unwritten = [charge for charge in left if charge.conduct in COUNTED and charge.question in crowd.answered]
    assert unwritten == [], [row for charge in unwritten for row in rows if row.question == charge.question]
    return {
        status: (
            sum(row.cost for row in rows if row.is_estimated and row.status == status),
            sum(charge.nanousd for charge in left if status in statuses(charge, rows)),
        )
        for status in ("ok", "failed", "cancelled", "lost")
    }


def billed(row: Row, charges: Sequence[Charge]) -> Charge:
    """The charge of this row, to the nano-dollar and to the token; a cut answer may have been counted before.

    A whole answer goes before a cut one that came to the same: only the cut one may have been written as an estimate.
    """
    used = (row.uncached_input, row.cached_input, row.cache_write_input, row.output)
    for charge in sorted(charges, key=lambda charge: charge.conduct not in COUNTED):
        usage = charge.usage
        counts = (usage.uncached_input, usage.cached_input, usage.cache_write_input, usage.output)
        if charge.conduct is not Conduct.UNCOUNTED and (charge.nanousd, counts) == (row.cost, used):
            return charge
    pytest.fail(f"{row} was never billed: {charges}")


def statuses(charge: Charge, rows: Sequence[Row]) -> set[str]:
    """How the estimated attempts ended that this charge may be of."""
    return {
        row.status for row in rows if row.is_estimated and (row.question, row.model) == (charge.question, charge.model)
    }


def assert_adds_up(total: UsageTotals, rows: Sequence[Row]) -> None:
    """The service's sums are the file's."""
    assert total.requests == len({row.call_id for row in rows})
    assert total.cost_nanousd == sum(row.cost for row in rows)
    assert total.cost_estimated_nanousd == sum(row.cost for row in rows if row.is_estimated)
    assert total.wasted_nanousd == sum(row.cost for row in rows if row.status != "ok")
    assert total.output_tokens == sum(row.output for row in rows)
    assert total.input_tokens == sum(row.uncached_input + row.cached_input + row.cache_write_input for row in rows)


def estimate(model: str, text: str) -> int:
    """What an attempt holds: four bytes a token, four tokens a message, three a prompt, and all output it allows."""
    tokens = -(-len(text.encode()) // 4) + 4 + 3
    return SELLERS[model].tariff.bill(Usage(uncached_input=tokens, output=LARGEST_OUTPUT))


def told(crowd: Crowd, rows: Sequence[Row], errors: Mapping[str, tuple[int, int]]) -> str:
    """What a reader of the test's output may want to know."""
    exact = sum(row.cost for row in rows if row.is_exact)
    lines = [
        f"{len(crowd.answered)} answered, {len(crowd.left)} left, {len(crowd.refused)} refused; {len(rows)} attempts",
        f"exact: {exact} nano-USD, as billed",
        *(
            f"estimated, {status}: {written} written, {charged} billed, error {(written - charged) / charged:+.1%}"
            for status, (written, charged) in errors.items()
            if charged
        ),
    ]
    return "\n".join(lines)
