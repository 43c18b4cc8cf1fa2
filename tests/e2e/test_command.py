"""The `penstock` command against a real daemon, as a person or a script runs it."""

import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
import pytest_asyncio

from fakes.models import openai
from fakes.upstream import Upstream, response
from peers.live_daemon import PROGRAMS, Daemons, Penstockd, run

ECHO = {"provider": "echo"}


ALL_AT_ONE = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def daemon(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Penstockd]:
    """A daemon with an agent that has something to say for itself."""
    agents = {"support": {"description": "Answers questions about orders."}}
    async with Daemons(tmp_path_factory.mktemp("command")) as daemons:
        yield await daemons.start(models={"echo": ECHO}, agents=agents)


async def penstock(daemon: Penstockd, *arguments: str, stdin: str = "") -> tuple[int, str, str]:
    """Run the command."""
    return await run(PROGRAMS / "penstock", *arguments, environ={"PENSTOCK_TARGET": daemon.target}, stdin=stdin)


@ALL_AT_ONE
async def test_it_prints_the_answer_and_nothing_else(daemon: Penstockd) -> None:
    """Whole, as a stream, and to a question on standard input."""
    whole = await penstock(daemon, "call", "hello there")
    streamed = await penstock(daemon, "call", "hello there", "--stream")
    piped = await penstock(daemon, "call", "-", stdin="hello there")

    assert whole == streamed == piped == (0, "hello there\n", "")


@ALL_AT_ONE
async def test_json_is_the_contracts_own(daemon: Penstockd) -> None:
    """One object a line: the response, or each event of the stream."""
    _, whole, _ = await penstock(daemon, "call", "hello there", "--json")
    _, streamed, _ = await penstock(daemon, "call", "hello there", "--json", "--stream")

    assert json.loads(whole)["output"] == "hello there"
    events = [json.loads(line) for line in streamed.splitlines()]
    assert events[0]["started"]["model_used"] == "echo"
    assert [event["delta"]["text"] for event in events[1:-1]] == ["hello", " there"]
    assert events[-1]["completed"]["response"]["model_used"] == "echo"
    assert events[-1]["completed"]["response"]["output"] == ""


@ALL_AT_ONE
async def test_a_refusal_is_one_line_and_exit_code_1(daemon: Penstockd) -> None:
    """With the request's id, for whoever looks into it."""
    code, out, complaint = await penstock(daemon, "call", "hello", "--agent", "nobody")

    (line,) = complaint.splitlines()
    assert (code, out) == (1, "")
    assert line.startswith("penstock: AGENT_NOT_FOUND: there is no agent called 'nobody'")
    assert (await daemon.line("call finished", code="NOT_FOUND"))["request_id"] in line


@ALL_AT_ONE
async def test_it_lists_agents_and_models(daemon: Penstockd) -> None:
    """As tables for people, as JSON for machines."""
    _, agents, _ = await penstock(daemon, "agents")
    _, models, _ = await penstock(daemon, "models")
    _, agents_json, _ = await penstock(daemon, "agents", "--json")
    _, models_json, _ = await penstock(daemon, "models", "--json")

    assert agents.splitlines()[1].split(maxsplit=4) == [
        "support",
        "*",
        "echo",
        "yes",
        "Answers questions about orders.",
    ]
    assert models.splitlines()[1].split()[:4] == ["echo", "echo", "closed", "0/100"]
    assert [agent["name"] for agent in json.loads(agents_json)["agents"]] == ["support"]
    assert [model["name"] for model in json.loads(models_json)["models"]] == ["echo"]


@pytest.mark.parametrize(
    ("service", "code", "says"),
    [("", 0, "SERVING"), ("model/echo", 0, "SERVING"), ("liveness", 0, "SERVING"), ("nothing", 3, "")],
)
@ALL_AT_ONE
async def test_health_exits_as_the_probe_does(service: str, code: int, says: str, daemon: Penstockd) -> None:
    """So that it fits wherever the probe is used."""
    exited, out, _ = await penstock(daemon, "health", *filter(None, [service]))

    assert (exited, out.strip()) == (code, says)


async def test_health_tells_not_serving_from_not_there(daemons: Daemons) -> None:
    """4 in the drain delay, 2 when the daemon is gone; a call then exits with 3."""
    daemon = await daemons.start(server={"drain_delay": "20s"})
    daemon.signal()
    await daemon.line("draining")
    draining = await penstock(daemon, "health", "--json")
    daemon.signal()
    await daemon.exit_code()
    gone, _, complaint = await penstock(daemon, "health", "--timeout", "2s")
    unreachable, _, _ = await penstock(daemon, "call", "hello", "--timeout", "2s")

    assert (draining[0], json.loads(draining[1])["status"]) == (4, "NOT_SERVING")
    assert (gone, unreachable) == (2, 3)
    assert len(complaint.splitlines()) == 1


async def test_a_daemon_whose_ledger_fails_can_be_looked_after(daemons: Daemons, tmp_path: Path) -> None:
    """Just then the runbook is needed; who asks an agent goes elsewhere."""
    daemon = await daemons.start(environ={"PENSTOCK_STATE_DIR": str(tmp_path / "state")})
    with closing(sqlite3.connect(tmp_path / "state" / "ledger.db", isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        await penstock(daemon, "call", "hello", "--timeout", "1s")
        await daemon.line("the ledger cannot be written")
        looks = {command: await penstock(daemon, command) for command in ("models", "agents", "usage")}
        code, _, complaint = await penstock(daemon, "call", "hello")
        connection.execute("ROLLBACK")

    assert {command: (code, complaint) for command, (code, _, complaint) in looks.items()} == dict.fromkeys(
        looks, (0, "")
    )
    assert code == 3
    assert "no replica is serving" in complaint


async def test_a_model_that_cools_down_does_not_look_well(daemons: Daemons) -> None:
    """Its provider said for how long."""
    async with Upstream() as upstream:
        upstream.answer_always(response(b"{}", status=429, retry_after="20"))
        daemon = await daemons.start(models={"fast": openai(upstream)})
        await penstock(daemon, "call", "hello", "--timeout", "5s")
        _, models, _ = await penstock(daemon, "models")

    row = models.splitlines()[1].split()
    assert (row[0], row[2], row[-1]) == ("fast", "cooling", "rate_limited")
