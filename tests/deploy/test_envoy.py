"""deploy/envoy: the real Envoy before a real daemon."""

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from fakes import answers
from fakes.certificates import Authority
from fakes.models import openai
from fakes.upstream import HANG, Upstream, response, stream
from peers import peer
from peers.envoy import envoy
from peers.live_daemon import PATIENCE, Daemons
from penstock import AgentClient, PenstockError

NOBODY_LEFT = "no healthy upstream"


async def post(url: str, path: str, body: object, **headers: str) -> tuple[int, str, str]:
    """Send JSON; return the status, the kind of what came, and its text."""
    async with aiohttp.ClientSession() as session, session.post(url + path, json=body, headers=headers) as answer:
        return answer.status, answer.headers["content-type"], await answer.text()


async def test_a_call_is_json_both_ways(tmp_path: Path) -> None:
    """The two paths of the contract, and one that it does not know; a call keeps the name that its caller gave it."""
    async with Daemons(tmp_path) as daemons:
        daemon = await daemons.start()
        async with envoy(tmp_path, daemon.target) as url:
            status, kind, text = await post(url, "/v1/process", {"input": "hello there", "user_id": "u1"})
            named = await post(url, "/v1/agents/default:process", {"input": "hello there"}, **{"x-request-id": "r-17"})
            unnamed = await post(url, "/v1/process", {"input": "hello"})
            unknown = await post(url, "/v1/nothing", {})

    answer: dict[str, Any] = json.loads(text)
    assert (status, kind, answer["output"]) == (200, "application/json", "hello there")
    assert answer["finishReason"] == "FINISH_REASON_STOP"
    assert (named[0], json.loads(named[2])["output"]) == (200, "hello there")
    assert (json.loads(named[2])["requestId"], len(json.loads(unnamed[2])["requestId"])) == ("r-17", 36)
    assert unknown[0] == 404


async def test_a_stream_is_server_sent_events(tmp_path: Path, upstream: Upstream) -> None:
    """One started, each piece as it comes, one completed, which is last."""
    upstream.answer_always(*stream(*answers.openai_events(["Once", " upon"])))
    async with Daemons(tmp_path) as daemons:
        daemon = await daemons.start(models={"fast": openai(upstream)})
        async with envoy(tmp_path, daemon.target) as url:
            status, kind, text = await post(url, "/v1/processStream", {"input": "tell"})

    events = [json.loads(event.removeprefix("data: ")) for event in text.split("\n\n") if event]
    assert (status, kind) == (200, "text/event-stream")
    assert [next(iter(event)) for event in events] == ["started", *["delta"] * (len(events) - 2), "completed"]
    assert "".join(event["delta"]["text"] for event in events[1:-1]) == "Once upon"


async def test_an_error_is_a_status_with_its_details(tmp_path: Path) -> None:
    """So that a caller in JSON may act on the reason as well."""
    async with Daemons(tmp_path) as daemons:
        daemon = await daemons.start()
        async with envoy(tmp_path, daemon.target) as url:
            status, kind, text = await post(url, "/v1/process", {"input": "hello", "agent": "nobody"})

    error: dict[str, Any] = json.loads(text)
    assert (status, kind, error["code"]) == (404, "application/json", 5)
    (info,) = [detail for detail in error["details"] if detail["@type"].endswith("ErrorInfo")]
    assert (info["reason"], info["domain"]) == ("AGENT_NOT_FOUND", "penstock.dev")


async def test_a_call_is_made_once_whatever_its_caller_asks_of_envoy(tmp_path: Path, upstream: Upstream) -> None:
    """A repeated call is billed again."""
    upstream.answer_always(response(b"{}", status=500))
    repeat = {"x-envoy-retry-on": "5xx", "x-envoy-retry-grpc-on": "unavailable", "x-envoy-max-retries": "3"}
    async with Daemons(tmp_path) as daemons:
        daemon = await daemons.start(models={"fast": openai(upstream)}, retry={"max_attempts": 1})
        async with envoy(tmp_path, daemon.target) as url:
            status, _, _ = await post(url, "/v1/process", {"input": "hello"}, **repeat)
        await daemon.stop()

    assert (status, upstream.calls) == (503, 1)
    assert len(daemon.logged("call finished")) == 1


async def test_grpc_passes_as_it_is(tmp_path: Path) -> None:
    """Callers with stubs need no second address."""
    async with Daemons(tmp_path) as daemons:
        daemon = await daemons.start()
        async with envoy(tmp_path, daemon.target) as url, AgentClient(url.removeprefix("http://")) as client:
            answer = await client.process("hello there")
            streamed = [text async for text in client.stream("hello there")]

    assert answer.output == "".join(streamed) == "hello there"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Who vouches for daemons."""
    return Authority(peer("openssl"), tmp_path / "authority")


async def start_named(daemons: Daemons, authority: Authority, name: str) -> str:
    """Start a daemon with a certificate for `name`, and return where."""
    cert, key = map(str, authority.issue(name, f"DNS:{name}"))
    return (await daemons.start(server={"tls": {"cert": cert, "key": key}})).target


async def test_the_daemon_is_spoken_to_over_tls(tmp_path: Path, authority: Authority) -> None:
    """By the name that its certificate has on Kubernetes; health checks go the same way as calls."""
    async with Daemons(tmp_path) as daemons:
        target = await start_named(daemons, authority, "penstock.penstock")
        async with envoy(tmp_path, target, ca=authority.ca) as url, AgentClient(url.removeprefix("http://")) as client:
            status, _, text = await post(url, "/v1/process", {"input": "hello there"})
            answer = await client.process("hello there")

    assert (status, json.loads(text)["output"]) == (200, "hello there")
    assert answer.output == "hello there"


async def test_a_daemon_of_another_name_is_not_spoken_to(tmp_path: Path, authority: Authority) -> None:
    """Though the same authority vouches for it."""
    async with Daemons(tmp_path) as daemons:
        target = await start_named(daemons, authority, "other.penstock")
        async with envoy(tmp_path, target, ca=authority.ca, until="ssl.fail_verify_san: 1") as url:
            status, _, text = await post(url, "/v1/process", {"input": "hello"})

    assert (status, text) == (503, NOBODY_LEFT)


async def test_the_time_of_a_call_is_the_callers_or_the_daemons(tmp_path: Path, upstream: Upstream) -> None:
    """So that it is the daemon that ends the call, with a reason, and keeps time for another model."""
    upstream.answer_always(HANG)
    async with Daemons(tmp_path) as daemons:
        daemon = await daemons.start(models={"slow": openai(upstream)}, server={"default_timeout": "1s"})
        async with envoy(tmp_path, daemon.target) as url, AgentClient(url.removeprefix("http://")) as client:
            status, _, text = await post(url, "/v1/process", {"input": "hello"})
            with pytest.raises(PenstockError) as called:
                await client.process("hello", timeout=0.8)
        await daemon.stop()

    assert (status, json.loads(text)["code"]) == (504, 4)
    assert called.value.reason == "DEADLINE_EXCEEDED"
    assert called.value.request_id
    assert [line["code"] for line in daemon.logged("call finished")] == ["DEADLINE_EXCEEDED"] * 2


async def test_a_replica_that_drains_is_left_though_nobody_calls(tmp_path: Path) -> None:
    """Health is looked at every two seconds, not only with traffic."""
    async with Daemons(tmp_path) as daemons:
        daemon = await daemons.start(server={"drain_delay": "20s"})
        async with envoy(tmp_path, daemon.target) as url:
            daemon.signal()
            await daemon.line("draining")
            async with asyncio.timeout(PATIENCE / 2):
                while (await post(url, "/v1/process", {"input": "hello"}))[2] != NOBODY_LEFT:  # noqa: ASYNC110 - no event of ours
                    await asyncio.sleep(0.2)
