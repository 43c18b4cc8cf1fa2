"""The ledger of a real daemon: who may have it, and who may look into it."""

import asyncio
import json
from pathlib import Path

import aiohttp
from grpc import StatusCode

from fakes import answers
from fakes.models import openai
from fakes.rpc import PROCESS, Ended, wire
from fakes.small_disk import small_disk
from fakes.upstream import Upstream, response
from peers.live_daemon import PROGRAMS, Daemons, Penstockd, run
from peers.postgres import Postgres
from penstock import AgentClient
from penstock.v1.agent_service_pb2 import ProcessRequest, ProcessResponse
from penstock.v1.usage_service_pb2 import GetUsageRequest, GetUsageResponse

GET_USAGE = "/penstock.v1.UsageService/GetUsage"
CALL = ProcessRequest(input="hi")
PRICE = {"input": 1, "output": 1}


async def test_a_second_daemon_on_a_ledger_is_one_line_and_exit_code_1(daemons: Daemons, tmp_path: Path) -> None:
    """Two daemons would each believe to know every cost."""
    state = {"PENSTOCK_STATE_DIR": str(tmp_path / "shared")}
    await daemons.start(environ=state)
    ports = ("--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0")

    code, _, complaint = await run(PROGRAMS / "penstockd", "serve", *ports, environ=state)

    line = f"penstockd: the ledger {tmp_path}/shared/ledger.db belongs to another daemon that runs: "
    remedy = "stop it, or give this one another place: PENSTOCK_STATE_DIR, or DATABASE_URL where it is set"
    assert (code, complaint) == (1, f"{line}{remedy}\n")


async def test_usage_is_there_for_the_command(daemons: Daemons) -> None:
    """Nothing was used yet, which is an answer, too."""
    daemon = await daemons.start()

    code, out, err = await run(PROGRAMS / "penstock", "usage", "--json", "--target", daemon.target)

    assert (code, err) == (0, "")
    assert json.loads(out)["total"]["requests"] == "0"


async def test_a_ledger_outlives_its_daemon(daemons: Daemons, tmp_path: Path) -> None:
    """The next one opens the same file, with the same schema."""
    state = {"PENSTOCK_STATE_DIR": str(tmp_path / "shared")}
    first = await daemons.start(environ=state)
    assert await first.stop() == 0

    second = await daemons.start(environ=state)

    async with AgentClient(second.target) as client:
        assert (await client.get_usage()).total.requests == 0


async def test_a_full_disk_refuses_new_calls_and_answers_those_that_run(upstream: Upstream, tmp_path: Path) -> None:
    """Readiness says why; when there is space again, all of it is over, and the running calls are on the ledger."""
    go_on = asyncio.Event()
    upstream.answer_always(go_on, response(answers.openai_answer("hello")))
    with small_disk(tmp_path / "disk") as disk:
        async with Daemons(tmp_path) as daemons:
            daemon = await daemons.start(
                environ={"PENSTOCK_STATE_DIR": str(disk.path)}, models={"fast": openai(upstream, price=PRICE)}
            )
            async with wire(daemon.target) as client:
                running = [asyncio.create_task(client.ask(PROCESS, CALL)) for _ in range(3)]
                await upstream.received(3)
                disk.fill()
                go_on.set()
                answered = await asyncio.gather(*running)
                while (refused := await client.ask(PROCESS, CALL)).code is StatusCode.OK:
                    answered.append(refused)
                unready = await ready(daemon)

                disk.free()
                await daemon.line("the ledger is written again")
                answered.append(await client.ask(PROCESS, CALL))
                total = (await client.ask(GET_USAGE, GetUsageRequest())).response(GetUsageResponse).total

            assert (refused.code, refused.reason) == (StatusCode.UNAVAILABLE, "ACCOUNTING_UNAVAILABLE")
            assert refused.trailing["grpc-retry-pushback-ms"] == "1000"
            assert unready == (503, "ledger\n")
            assert await ready(daemon) == (200, "ok\n")
            assert (total.requests, total.cost_nanousd) == (len(answered), cost_of(answered))


async def test_postgresql_may_restart_under_the_daemon(
    daemons: Daemons, upstream: Upstream, postgres: Postgres
) -> None:
    """The call that runs is answered, and its cost is on the ledger once the database is back."""
    go_on = asyncio.Event()
    upstream.answer_always(go_on, response(answers.openai_answer("hello")))
    daemon = await daemons.start(
        environ={"DATABASE_URL": postgres.database()}, models={"fast": openai(upstream, price=PRICE)}
    )
    async with wire(daemon.target) as client:
        running = asyncio.create_task(client.ask(PROCESS, CALL))
        await upstream.received(1)
        await asyncio.to_thread(postgres.stop)
        go_on.set()
        answered = [await running]
        refused = await client.ask(PROCESS, CALL)
        await asyncio.to_thread(postgres.start)
        await daemon.line("the ledger is written again")
        answered.append(await client.ask(PROCESS, CALL))
        total = (await client.ask(GET_USAGE, GetUsageRequest())).response(GetUsageResponse).total

    assert refused.reason == "ACCOUNTING_UNAVAILABLE"
    assert (total.requests, total.cost_nanousd) == (2, cost_of(answered))


def cost_of(answered: list[Ended]) -> int:
    """What the callers were told that their calls cost, which is more than nothing."""
    costs = [answer.response(ProcessResponse).cost_nanousd for answer in answered]
    assert all(costs)
    return sum(costs)


async def ready(daemon: Penstockd) -> tuple[int, str]:
    """What /readyz says."""
    async with aiohttp.ClientSession() as session, session.get(f"{daemon.admin}/readyz") as answer:
        return answer.status, await answer.text()
