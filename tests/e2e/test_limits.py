"""Callers get what their limits allow, and are told exactly when to come back."""

import asyncio
import re
import signal
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import aiohttp
import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo, QuotaFailure, RetryInfo

from fakes.answers import openai_answer
from fakes.models import openai
from fakes.rpc import PROCESS, STREAM, Ended, wire
from fakes.upstream import HANG, Upstream, response
from peers.live_daemon import Daemons
from penstock.v1.agent_service_pb2 import ProcessRequest

BOTH = pytest.mark.parametrize("path", [PROCESS, STREAM])
EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED


def default(*limits: Mapping[str, object]) -> Mapping[str, object]:
    """Tenants for callers without credentials, under these limits."""
    return {"default": {"limits": limits}}


def delay(ended: Ended) -> float:
    """What RetryInfo asks, in seconds."""
    return ended.detail(RetryInfo).retry_delay.ToTimedelta().total_seconds()


def quota(ended: Ended) -> tuple[str, str]:
    """Subject and rule of the one violation."""
    [violation] = ended.detail(QuotaFailure).violations
    return violation.subject, violation.description


@BOTH
async def test_over_a_rate_the_caller_is_told_rule_and_delay(path: str, daemons: Daemons) -> None:
    """The refusal is Trailers-Only, and names the user, the rule and a delay to the microsecond."""
    limit = {"per": "user", "requests": "6/h", "burst": 2}
    daemon = await daemons.start(tenants=default(limit))

    async with wire(daemon.target) as client:
        ended = [await client.ask(path, ProcessRequest(input="hi", user_id="u1")) for _ in range(3)]
        other = await client.ask(path, ProcessRequest(input="hi", user_id="u2"))

    assert [each.code for each in (*ended, other)] == [*[grpc.StatusCode.OK] * 2, EXHAUSTED, grpc.StatusCode.OK]
    refused = ended[2]
    assert (refused.reason, refused.initial) == ("RATE_LIMITED", {})
    assert quota(refused) == ("user:default/u1", "6/h requests")
    assert 570 < delay(refused) < 600
    assert 0 <= int(refused.trailing["grpc-retry-pushback-ms"]) - delay(refused) * 1000 < 1


@BOTH
async def test_the_log_names_a_user_who_floods_its_own_limit(path: str, daemons: Daemons) -> None:
    """By the words of the refusal, beside the agent that it asks for."""
    daemon = await daemons.start(tenants=default({"per": "user", "requests": "1/h"}))

    async with wire(daemon.target) as client:
        for _ in range(2):
            await client.ask(path, ProcessRequest(input="hi", user_id="u1"))
    line = await daemon.line("call finished", reason="RATE_LIMITED")

    assert (line["rule"], line["subject"], line["agent"]) == ("1/h requests", "user:default/u1", "default")


@BOTH
async def test_the_tightest_rate_travels_with_answers_and_refusals(path: str, daemons: Daemons) -> None:
    """In the first message's metadata, or in the trailers."""
    limits: list[Mapping[str, object]] = [
        {"per": "tenant", "requests": "600/d"},
        {"per": "user", "requests": "6/h", "burst": 2},
    ]
    daemon = await daemons.start(tenants=default(*limits))

    async with wire(daemon.target) as client:
        ended = [await client.ask(path, ProcessRequest(input="hi", user_id="u1")) for _ in range(3)]

    headers = [rate_headers(ended[0].initial), rate_headers(ended[1].initial), rate_headers(ended[2].trailing)]
    assert [(limit, remaining) for limit, remaining, _ in headers] == [(2, 1), (2, 0), (2, 0)]
    assert [reset for _, _, reset in headers] == pytest.approx([600, 1200, 1200], abs=30)


def rate_headers(metadata: Mapping[str, str | bytes]) -> tuple[int, int, int]:
    """Limit, remaining and reset."""
    limit, remaining, reset = (int(metadata[f"x-ratelimit-{name}"]) for name in ("limit", "remaining", "reset"))
    return limit, remaining, reset


async def test_who_waits_exactly_as_long_as_told_is_admitted(daemons: Daemons) -> None:
    """Not a millisecond more is needed."""
    daemon = await daemons.start(tenants=default({"per": "tenant", "requests": "2/s", "burst": 1}))

    async with wire(daemon.target) as client:
        for _ in range(3):
            await client.ask(PROCESS, ProcessRequest(input="hi"))
            refused = await client.ask(PROCESS, ProcessRequest(input="hi"))
            assert refused.code == EXHAUSTED
            await asyncio.sleep(delay(refused))
            assert (await client.ask(PROCESS, ProcessRequest(input="hi"))).code == grpc.StatusCode.OK
            await asyncio.sleep(0.5)


@BOTH
async def test_a_place_is_the_callers_until_its_call_ends(path: str, daemons: Daemons, upstream: Upstream) -> None:
    """A caller who cancels has given it back before long."""
    upstream.answer_always(HANG)
    limit = {"per": "user", "concurrency": 2}
    daemon = await daemons.start(models={"fast": openai(upstream)}, tenants=default(limit))
    request = ProcessRequest(input="hi", user_id="u1")

    async with wire(daemon.target) as client:
        running = [asyncio.create_task(client.ask(path, request)) for _ in range(2)]
        await upstream.received(2)
        refused = await client.ask(path, request)
        for each in running:
            each.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await daemon.line("call finished", count=2, code="CANCELLED")
        upstream.answer_always(response(openai_answer("hello")))
        after = await client.ask(PROCESS, request)

    assert (refused.code, refused.reason) == (EXHAUSTED, "RATE_LIMITED")
    assert quota(refused) == ("user:default/u1", "2 concurrent requests")
    assert 0.1 <= delay(refused) <= 0.5
    assert after.code == grpc.StatusCode.OK


async def test_a_call_that_is_shed_costs_its_tenant_nothing(daemons: Daemons, upstream: Upstream) -> None:
    """The admission is given back."""
    upstream.answer_always(HANG)
    daemon = await daemons.start(
        models={"fast": openai(upstream)},
        tenants=default({"per": "tenant", "requests": "2/h"}),
        server={"max_in_flight": 1},
    )

    async with wire(daemon.target) as client:
        running = asyncio.create_task(client.ask(PROCESS, ProcessRequest(input="hi")))
        await upstream.received()
        shed = [await client.ask(PROCESS, ProcessRequest(input="hi")) for _ in range(5)]
        line = await daemon.line("call finished", reason="OVERLOADED")
        running.cancel()
        await daemon.line("call finished", code="CANCELLED")
        upstream.answer_always(response(openai_answer("hello")))
        ended = [await client.ask(PROCESS, ProcessRequest(input="hi")) for _ in range(2)]

    assert {each.reason for each in shed} == {"OVERLOADED"}
    assert line["agent"] == "default"
    assert [each.reason for each in ended] == ["", "RATE_LIMITED"]


async def test_a_shadow_denies_nothing_and_is_counted(daemons: Daemons) -> None:
    """Operators see what it would have denied, by tenant and rule and by no user."""
    daemon = await daemons.start(tenants=default({"per": "user", "requests": "1/h", "shadow": True}))

    async with wire(daemon.target) as client:
        ended = [await client.ask(PROCESS, ProcessRequest(input="hi", user_id="u1")) for _ in range(3)]

    assert {each.code for each in ended} == {grpc.StatusCode.OK}
    assert "x-ratelimit-limit" not in ended[0].initial
    [line] = await metrics(daemon.admin, "penstock_limit_denials")
    assert {'penstock_rule="1/h requests"', 'penstock_tenant="default"', 'penstock_rule_per="user"'} <= labels(line)
    assert line.endswith(" 2.0")
    assert "u1" not in line


@BOTH
async def test_a_budget_that_does_not_cover_a_call_says_until_when(
    path: str, daemons: Daemons, upstream: Upstream
) -> None:
    """Nothing is sent upstream, and clients are told not to retry."""
    price = {"input": 1, "output": 100}
    budget = {"per": "user", "usd": 0.001, "period": "hour"}
    daemon = await daemons.start(
        models={"fast": openai(upstream, price=price)}, tenants={"default": {"budgets": [budget]}}
    )
    request = ProcessRequest(input="hi", user_id="u1", parameters={"max_output_tokens": 100})

    async with wire(daemon.target) as client:
        refused = await client.ask(path, request)

    assert (refused.code, refused.reason) == (EXHAUSTED, "BUDGET_EXHAUSTED")
    assert quota(refused) == ("user:default/u1", "0.001 USD per hour")
    assert refused.trailing["grpc-retry-pushback-ms"] == "-1"
    reset_time = datetime.fromisoformat(refused.detail(ErrorInfo).metadata["reset_time"])
    assert timedelta(0) <= reset_time - datetime.now(UTC) <= timedelta(hours=1)
    assert reset_time.minute == reset_time.second == 0
    assert upstream.requests == []


async def test_a_reload_keeps_what_limits_that_stay_have_counted(daemons: Daemons) -> None:
    """And applies those that are new at once."""
    limit = {"per": "tenant", "requests": "2/h"}
    daemon = await daemons.start(tenants=default(limit))

    async with wire(daemon.target) as client:
        await client.ask(PROCESS, ProcessRequest(input="hi"))
        daemons.configure(tenants=default(limit, {"per": "user", "requests": "1/h"}))
        daemon.signal(signal.SIGHUP)
        await daemon.line("the configuration was reloaded")
        ended = [await client.ask(PROCESS, ProcessRequest(input="hi", user_id=user)) for user in ("a", "b")]

    assert [each.reason for each in ended] == ["", "RATE_LIMITED"]
    assert quota(ended[1]) == ("tenant:default", "2/h requests")


async def metrics(admin: str, name: str) -> Sequence[str]:
    """The samples of a counter."""
    async with aiohttp.ClientSession() as session, session.get(f"{admin}/metrics") as answer:
        text = await answer.text()
    return re.findall(rf"^{name}_total.*$", text, re.MULTILINE)


def labels(line: str) -> set[str]:
    """The labels of a sample."""
    return set(line.partition("{")[2].partition("}")[0].split(","))
