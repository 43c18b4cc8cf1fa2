"""Who may call a real daemon, by key, and what strangers learn of it: nothing."""

import asyncio
import itertools
import signal
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import aiohttp
import grpc.aio
import psutil
import pytest
from grpc import StatusCode

from fakes.rpc import LIST_MODELS, PROCESS, STREAM, Metadata, wire
from peers.live_daemon import PROGRAMS, Daemons, Penstockd, run
from penstock import AgentClient, PenstockError, PermissionDenied
from penstock.v1.agent_service_pb2 import ProcessRequest
from penstock.v1.pool_service_pb2 import MODEL_ACTION_DISABLE, MODEL_ACTION_ENABLE, SetModelRequest
from penstockd.api_key import digest, generate

PEPPER = "canary-of-the-pepper"
ENVIRON = {"PENSTOCK_KEY_PEPPER": PEPPER}
AGENTS: Mapping[str, object] = {"support": {}, "research": {}}
SET_MODEL = "/penstock.v1.PoolService/SetModel"
METHODS = (
    PROCESS,
    STREAM,
    LIST_MODELS,
    SET_MODEL,
    "/penstock.v1.AgentService/ListAgents",
    "/penstock.v1.UsageService/GetUsage",
    "/penstock.v1.CacheService/Purge",
)
WEB, OLD, GONE, ADMIN = (generate() for _ in range(4))


def key(name: str, text: str, **more: object) -> dict[str, object]:
    """A key as the configuration has it."""
    return {"name": name, "hash": digest(PEPPER, text), **more}


def config(*keys: dict[str, object], **sections: object) -> dict[str, object]:
    """One tenant with these keys."""
    return {"agents": AGENTS, "default_agent": "support", "tenants": {"acme": {"keys": keys}}, **sections}


def bearer(*keys: str) -> Metadata:
    """What a caller sends."""
    return tuple(("authorization", f"Bearer {text}") for text in keys)


async def reload(daemon: Penstockd) -> None:
    """Let the daemon serve what the file says now."""
    seen = len(daemon.logged("the configuration was reloaded"))
    daemon.signal(signal.SIGHUP)
    await daemon.line("the configuration was reloaded", count=seen + 1)


async def metrics(daemon: Penstockd) -> list[str]:
    """The lines of /metrics."""
    async with aiohttp.ClientSession() as session, session.get(f"{daemon.admin}/metrics") as response:
        return (await response.text()).splitlines()


BAD = {
    "missing": ((),),
    "doubled": (bearer(WEB, WEB), bearer(WEB, generate())),
    "unknown": (bearer(generate()), bearer(GONE)),
    "expired": (bearer(OLD),),
    "malformed": (
        (("authorization", ""),),
        (("authorization", WEB),),
        (("authorization", f"Basic {WEB}"),),
        bearer(""),
        bearer(WEB[:-1]),
        bearer(f"{WEB}, Bearer {WEB}"),
        bearer("x" * 2**20),
    ),
}


async def test_every_bad_credential_is_told_the_same_by_every_method(daemons: Daemons) -> None:
    """Revoked and expired keys too; only the operator's counter knows why."""
    keys = [key("web", WEB), key("old", OLD, expires="2020-01-01")]
    daemon = await daemons.start(environ=ENVIRON, **config(*keys, key("gone", GONE)))
    async with wire(daemon.target) as client:
        assert (await client.ask(PROCESS, ProcessRequest(input="hi"), metadata=bearer(GONE))).code is StatusCode.OK
        daemons.configure(**config(*keys))
        await reload(daemon)

        told = {
            (ended.code, ended.reason, ended.message, frozenset(ended.trailing) | frozenset(ended.initial))
            for metadata in itertools.chain(*BAD.values())
            for path, data in itertools.product(METHODS, [b"", b"\xff\xff\xff"])
            for ended in [await client.ask(path, data, metadata=metadata)]
        }

    [(code, reason, message, _)] = told
    assert (code, reason) == (StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED")
    assert message == "the call carries no valid credentials"
    counted = [line for line in await metrics(daemon) if line.startswith("penstock_auth_refusals")]
    for why, sent in BAD.items():
        [line] = [line for line in counted if f'"{why}"' in line]
        assert float(line.split()[-1]) == len(sent) * len(METHODS) * 2
        await daemon.line("call finished", count=len(sent) * len(METHODS) * 2, auth=why)


@pytest.mark.timeout(180)  # on two busy cores, measured for coverage
async def test_20_000_wrong_keys_leave_nothing_behind(daemons: Daemons) -> None:
    """Neither memory nor state grows by what strangers try."""
    daemon = await daemons.start(environ=ENVIRON, **config(key("web", WEB)))
    process = psutil.Process(daemon.pid)

    await knock(daemon, 20_000)  # what the daemon allocates once, it has by then
    before, series = process.memory_info().rss, len(await metrics(daemon))
    await knock(daemon, 20_000)

    assert process.memory_info().rss - before < 2 * 2**20
    assert len(await metrics(daemon)) == series


async def knock(daemon: Penstockd, times: int, *, channels: int = 4, at_once: int = 64) -> None:
    """Call with as many different keys, none of which anybody has."""
    keys = iter([generate() for _ in range(times)])
    data = ProcessRequest(input="hi").SerializeToString()

    async def caller(channel: grpc.aio.Channel) -> None:
        ask: Any = channel.unary_unary(PROCESS)
        for text in keys:
            call = ask(data, metadata=bearer(text))
            assert await call.code() is StatusCode.UNAUTHENTICATED

    options = [("grpc.use_local_subchannel_pool", 1)]
    opened = [grpc.aio.insecure_channel(daemon.target, options) for _ in range(channels)]
    await asyncio.gather(*(caller(opened[number % channels]) for number in range(at_once)))
    for channel in opened:
        await channel.close()


async def test_keys_are_exchanged_under_load_without_a_failed_call(daemons: Daemons) -> None:
    """Both are valid in between; then the old one is not."""
    daemon = await daemons.start(environ=ENVIRON, **config(key("old", OLD)))
    in_use, failed = OLD, list[PenstockError]()
    is_over = asyncio.Event()

    async def ask_on() -> None:
        while not is_over.is_set():
            async with AgentClient(daemon.target, api_key=in_use) as client:
                for _ in range(10):
                    try:
                        await client.process("hi")
                    except PenstockError as error:
                        failed.append(error)

    callers = [asyncio.create_task(ask_on()) for _ in range(8)]
    await daemon.line("call finished", key="old", code="OK", count=50)
    daemons.configure(**config(key("old", OLD), key("new", WEB)))
    await reload(daemon)
    in_use = WEB
    await daemon.line("call finished", key="new", code="OK", count=100)
    is_over.set()
    await asyncio.gather(*callers)
    daemons.configure(**config(key("new", WEB)))
    await reload(daemon)

    assert failed == []
    async with wire(daemon.target) as client:
        codes = [(await client.ask(LIST_MODELS, b"", metadata=bearer(text))).code for text in (OLD, WEB)]
    assert codes == [StatusCode.UNAUTHENTICATED, StatusCode.OK]


async def test_a_key_is_kept_to_its_agents(daemons: Daemons) -> None:
    """It is not even shown the others, nor told whether there are any."""
    daemon = await daemons.start(environ=ENVIRON, **config(key("web", WEB, agents=["support", "model/echo"])))

    async with AgentClient(daemon.target, api_key=WEB) as client:
        assert [agent.name for agent in await client.list_agents()] == ["support"]
        assert (await client.process("hi", agent="support")).output == "hi"
        assert (await client.process("hi", agent="model/echo")).output == "hi"
        for agent in ("research", "nobody", "model/other"):
            with pytest.raises(PermissionDenied):
                await client.process("hi", agent=agent)
            with pytest.raises(PermissionDenied):
                [text async for text in client.stream("hi", agent=agent)]
    await daemon.line("call finished", count=6, tenant="acme", key="web", code="PERMISSION_DENIED")


async def test_only_operators_change_the_pool_and_every_key_sees_it(daemons: Daemons) -> None:
    """In development without tenants everyone is one."""
    daemon = await daemons.start(environ=ENVIRON, **config(key("web", WEB), key("admin", ADMIN, role="operator")))
    request = SetModelRequest(name="echo", action=MODEL_ACTION_DISABLE)

    async with wire(daemon.target) as client:
        refused = await client.ask(SET_MODEL, request, metadata=bearer(WEB))
        done = await client.ask(SET_MODEL, request, metadata=bearer(ADMIN))
        listed = await client.ask(LIST_MODELS, b"", metadata=bearer(WEB))
    free = await daemons.start()
    async with wire(free.target) as client:
        anybody = await client.ask(SET_MODEL, SetModelRequest(name="echo", action=MODEL_ACTION_ENABLE))

    assert (refused.code, refused.reason) == (StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED")
    assert [ended.code for ended in (done, listed, anybody)] == [StatusCode.OK] * 3


async def test_a_default_tenant_is_who_shows_nothing(daemons: Daemons) -> None:
    """A caller like any other, who changes nothing."""
    daemon = await daemons.start(tenants={"default": {}})

    async with wire(daemon.target) as client:
        called = await client.ask(PROCESS, ProcessRequest(input="hi"))
        changed = await client.ask(SET_MODEL, SetModelRequest(name="echo", action=MODEL_ACTION_DISABLE))

    assert (called.code, changed.code) == (StatusCode.OK, StatusCode.PERMISSION_DENIED)
    await daemon.line("call finished", tenant="default", code="OK")


async def test_no_secret_is_seen_anywhere(daemons: Daemons) -> None:
    """Not in the log at its most talkative, nor in metrics, statuses, processes or the configuration shown."""
    provider, prompt = "canary-of-the-provider", "canary-of-the-prompt"
    environ = {**ENVIRON, "LLM_API_KEY": provider, "LLM_BASE_URL": "http://127.0.0.1:1/v1"}
    daemon = await daemons.start(environ=environ, **config(key("web", WEB), log={"level": "DEBUG"}))
    request = ProcessRequest(input=prompt, agent="model/llm")

    async with wire(daemon.target) as client:
        ended = [
            await client.ask(path, request, metadata=metadata)
            for path in (PROCESS, STREAM)
            for metadata in (bearer(WEB), bearer(GONE), bearer(WEB, WEB), bearer(f"{WEB}x"))
        ]
    code, shown, _ = await run(PROGRAMS / "penstockd", "check", "--print", "--config", daemons.config, environ=environ)
    _, processes, _ = await run("ps", "-ww", "-o", "args", "-p", str(daemon.pid))

    assert {each.code for each in ended} == {StatusCode.UNAVAILABLE, StatusCode.UNAUTHENTICATED}
    assert (code, "penstockd" in processes) == (0, True)
    everything = [daemon.lines, daemon.said, await metrics(daemon), ended, shown, processes]
    for secret in (PEPPER, provider, prompt, WEB, GONE):
        assert not any(secret in text for text in texts(everything))


def texts(things: object) -> Iterator[str]:
    """Everything as it would be read."""
    if isinstance(things, Sequence) and not isinstance(things, str):
        for thing in things:
            yield from texts(thing)
    else:
        yield str(things)


async def test_a_new_key_is_printed_once_and_opens_the_door(daemons: Daemons) -> None:
    """What people read goes beside what machines take."""
    code, out, said = await run(PROGRAMS / "penstockd", "keys", "new", "--name", "web", environ=ENVIRON)
    text, line = out.splitlines()

    daemon = await daemons.start(environ=ENVIRON, **config(key("web", text)))
    async with AgentClient(daemon.target, api_key=text) as client:
        assert (await client.process("hi")).output == "hi"

    assert (code, line) == (0, f'- {{name: web, hash: "{digest(PEPPER, text)}"}}')
    assert "once" in said
    assert text not in said + line


async def test_without_a_pepper_no_key_is_made_and_none_is_served() -> None:
    """It is a mistake of the configuration."""
    made = await run(PROGRAMS / "penstockd", "keys", "new")
    served = await run(
        PROGRAMS / "penstockd", "check", environ={"PENSTOCK__TENANTS__ACME__KEYS": f"[{key('web', WEB)}]"}
    )

    assert [code for code, _, _ in (made, served)] == [2, 2]
    assert made[1:] == (
        "",
        "penstockd: PENSTOCK_KEY_PEPPER: must be set, as it is for the daemon: keys are stored as digests under it\n",
    )
    assert "key_pepper: required" in served[2]
