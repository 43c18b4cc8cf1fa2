"""What replies cost, against sums that were done by hand."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, cast

import aiohttp
from grpc import StatusCode

from fakes.providers import ANTHROPIC, OPENAI, Kind
from fakes.rpc import PROCESS, STREAM, Wire, wire
from fakes.upstream import Received, Script, Upstream, response, stream
from peers.live_daemon import Daemons, Penstockd
from penstock import AgentClient
from penstock.v1.agent_service_pb2 import ProcessRequest, ProcessResponse, ProcessStreamResponse
from penstockd.usage import Usage

COST: Final = "penstock-cost-nanousd"


@dataclass(frozen=True, kw_only=True)
class Sale:
    """A reply of a model, its price in USD per million tokens (None = the bundled one), and the sum in nano-USD."""

    kind: Kind
    usage: Usage
    nanousd: int
    price: Mapping[str, float] | None = None


SALES: Final[Mapping[str, Sale]] = {
    # 200 × 2,500 + 1,000 × 1,250 + 300 × 10,000; reasoning is a part of the output
    "cached": Sale(
        kind=OPENAI,
        usage=Usage(uncached_input=200, cached_input=1000, output=300, reasoning=128),
        price={"input": 2.5, "cached_input": 1.25, "output": 10},
        nanousd=4_750_000,
    ),
    # 200 × 2,500 + 1,000 × 2,500 + 300 × 10,000; cached input costs as input where nobody says
    "cached-as-input": Sale(
        kind=OPENAI,
        usage=Usage(uncached_input=200, cached_input=1000, output=300),
        price={"input": 2.5, "output": 10},
        nanousd=6_000_000,
    ),
    # 1 × 37.5 + 1 × 600, rounded up
    "half": Sale(
        kind=OPENAI, usage=Usage(uncached_input=1, output=1), price={"input": 0.0375, "output": 0.6}, nanousd=638
    ),
    # 600 × 150 + 400 × 75 + 10 × 600
    "gpt-4o-mini": Sale(kind=OPENAI, usage=Usage(uncached_input=600, cached_input=400, output=10), nanousd=126_000),
    # 17 × 3,000 + 2,048 × 300 + 512 × 3,750 + 91 × 15,000
    "written": Sale(
        kind=ANTHROPIC,
        usage=Usage(uncached_input=17, cached_input=2048, cache_write_input=512, output=91),
        price={"input": 3, "cached_input": 0.3, "cache_write": 3.75, "output": 15},
        nanousd=3_950_400,
    ),
    # 2,048 × 300 + 91 × 15,000: all of the input comes from the cache
    "all-cached": Sale(
        kind=ANTHROPIC,
        usage=Usage(cached_input=2048, output=91),
        price={"input": 3, "cached_input": 0.3, "cache_write": 3.75, "output": 15},
        nanousd=1_979_400,
    ),
    # 10 × 3,000 + 20 × 300 + 30 × 3,750 + 40 × 15,000
    "claude-sonnet-4": Sale(
        kind=ANTHROPIC,
        usage=Usage(uncached_input=10, cached_input=20, cache_write_input=30, output=40),
        nanousd=748_500,
    ),
}


async def test_every_kind_of_token_has_its_price(daemons: Daemons, upstream: Upstream) -> None:
    """Reply, trailing metadata and ledger say the same, over both RPCs."""
    upstream.respond(sell)
    daemon = await daemons.start(models={name: settings(upstream, name) for name in SALES})

    async with wire(daemon.target) as caller, AgentClient(daemon.target) as client:
        costs = {name: await asked(caller, name) for name in SALES}
        written = {name: (await client.get_usage(model=name)).total.cost_nanousd for name in SALES}

    assert costs == {name: [(sale.nanousd, str(sale.nanousd))] * 2 for name, sale in SALES.items()}
    assert written == {name: 2 * sale.nanousd for name, sale in SALES.items()}


async def test_a_cost_that_nobody_knows_is_not_told(daemons: Daemons, upstream: Upstream) -> None:
    """Nothing is better than a number that is wrong."""
    upstream.respond(lambda request: reply(SALES["cached"], request))
    daemon = await daemons.start(models={"own": settings(upstream, "own")})

    async with wire(daemon.target) as caller:
        ended = await caller.ask(PROCESS, ProcessRequest(input="hi"))

    assert not ended.response(ProcessResponse).HasField("cost_nanousd")
    assert COST not in ended.trailing


async def test_a_budget_and_a_price_that_nobody_knows_do_not_go_together(daemons: Daemons, upstream: Upstream) -> None:
    """The call is refused for good, nothing is sent; the operator is told once, and shown how often."""
    budget = {"per": "tenant", "usd": 1}
    daemon = await daemons.start(models={"own": settings(upstream, "own")}, tenants={"default": {"budgets": [budget]}})

    async with wire(daemon.target) as caller:
        ended = [await caller.ask(path, ProcessRequest(input="hi")) for path in (PROCESS, STREAM)]
    metrics, status = await shown(daemon, "/metrics"), json.loads(await shown(daemon, "/status"))
    await daemon.stop()

    assert {(each.code, each.reason) for each in ended} == {(StatusCode.FAILED_PRECONDITION, "PRICE_UNKNOWN")}
    assert COST not in ended[0].trailing
    assert upstream.requests == []
    [alarm] = [line for line in daemon.lines if line["level"] == "ERROR"]
    assert alarm["model"] == "own"
    assert 'penstock_price_unknown_total{penstock_model="own"} 2.0' in metrics
    assert [(problem["what"], problem["subject"]) for problem in status["problems"]] == [("price", "own")]


async def shown(daemon: Penstockd, path: str) -> str:
    """What the admin port serves there."""
    async with aiohttp.ClientSession() as session, session.get(daemon.admin + path) as answer:
        return await answer.text()


def settings(upstream: Upstream, name: str) -> Mapping[str, object]:
    """The model that sells under this name."""
    sale = SALES.get(name, SALES["cached"])
    price = {"price": sale.price} if sale.price and name in SALES else {}
    return {"provider": sale.kind.name, "base_url": upstream.url, "model": name, "api_key": "k", **price}


def sell(request: Received) -> Script:
    """Answer as the model that is asked."""
    return reply(SALES[str(cast("dict[str, object]", request.json)["model"])], request)


def reply(sale: Sale, request: Received) -> Script:
    """Answer, whole or streamed."""
    if cast("dict[str, object]", request.json).get("stream"):
        return stream(*sale.kind.events(["we", "ll"], sale.usage))
    return (response(sale.kind.answer("well", sale.usage)),)


async def asked(caller: Wire, name: str) -> list[tuple[int, str | bytes]]:
    """What the model's reply costs, by the reply and by the trailing metadata, for each RPC."""
    ask = ProcessRequest(input="hi", agent=f"model/{name}")
    whole, streamed = await caller.ask(PROCESS, ask), await caller.ask(STREAM, ask)
    last = streamed.response(ProcessStreamResponse).completed.response
    return [
        (whole.response(ProcessResponse).cost_nanousd, whole.trailing[COST]),
        (last.cost_nanousd, streamed.trailing[COST]),
    ]
