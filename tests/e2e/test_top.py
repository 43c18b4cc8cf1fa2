"""`penstock top` against a real daemon."""

import json

from fakes.rpc import PROCESS, STREAM, wire
from peers.live_daemon import PROGRAMS, Daemons, Penstockd, run
from penstock.v1.agent_service_pb2 import ProcessRequest

LOCKED = {"token": "let-me-see"}


async def top(daemon: Penstockd, *arguments: str, token: str = "let-me-see") -> tuple[int, str, str]:
    """Run the command, once."""
    environ = {"PENSTOCK_ADMIN": daemon.admin, "PENSTOCK_ADMIN_TOKEN": token, "COLUMNS": "80"}
    return await run(PROGRAMS / "penstock", "top", "--once", *arguments, environ=environ)


async def test_it_shows_the_calls_that_were_made(daemons: Daemons) -> None:
    """Of each tenant, by how they ended; and the snapshot behind it says the same."""
    limits = [{"per": "tenant", "requests": "3/h"}]
    daemon = await daemons.start(admin=LOCKED, tenants={"default": {"limits": limits}})
    async with wire(daemon.target) as client:
        for method in (PROCESS, STREAM, PROCESS, STREAM, PROCESS):
            await client.ask(method, ProcessRequest(input="hi"))

    code, out, err = await top(daemon)
    _, snapshot, _ = await top(daemon, "--json")

    assert (code, err) == (0, "")
    assert "WARNING   default is being denied by 3/h requests: 2 denials in the last minute." in out
    assert "echo   closed      0/100      0%" in out
    assert max(map(len, out.splitlines())) <= 80
    seen = json.loads(snapshot)
    assert seen["calls"]["by_code"] == {"OK": 3, "RESOURCE_EXHAUSTED": 2}
    assert seen["durations"]["call"]["since_start"]["count"] == 3
    assert seen["durations"]["first_content"]["last_5m"]["count"] == 3
    assert seen["calls"]["last_5m_by_reason"] == {}
    assert [(row["tenant"], row["calls"], row["denials"]) for row in seen["tenants"]] == [("default", 5, 2)]
    assert [(row["name"], row["calls"]) for row in seen["models"]] == [("echo", 3)]
    assert [(change["what"], change["state"]) for change in seen["changes"]] == [("daemon", "ready")]


async def test_without_the_token_nothing_is_shown(daemons: Daemons) -> None:
    """And it is said which one is not."""
    daemon = await daemons.start(admin=LOCKED)

    code, out, err = await top(daemon, token="let-me-sea")

    assert (code, out) == (1, "")
    said = "does not know the token in PENSTOCK_ADMIN_TOKEN: set it to the daemon's admin.token"
    assert err == f"penstock: UNAUTHENTICATED: {daemon.admin} {said}\n"
