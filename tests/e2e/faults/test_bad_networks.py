"""What the network does to a connection, the caller of a healthy pool does not notice."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from fakes.faults import PIECES, TEXT, saying
from fakes.providers import OPENAI
from fakes.stage import NEVER_OPENS, Stage, model, stage, well
from fakes.tcp_proxy import FAIR, TcpProxy, Weather
from fakes.upstream import HANG, STREAM_HEAD, Upstream, chunk, stream

pytestmark = pytest.mark.asyncio(loop_scope="module")

IMPATIENT = {"first_token": "200ms", "idle": "200ms", "total": "400ms", "connect": "200ms"}
BLACKHOLE = Weather(is_blackhole=True)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def network(sick: Upstream) -> AsyncIterator[TcpProxy]:
    """The way to an upstream that is well, and seems sick."""
    async with TcpProxy(sick.port) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def nobody() -> Iterator[str]:
    """The URL of a port that is kept, and on which nobody listens."""
    with socket.socket() as kept:
        kept.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{kept.getsockname()[1]}"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def daemon(
    network: TcpProxy, nobody: str, healthy: Upstream, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stage]:
    """A daemon that never gives a model up."""
    models = {
        "far": model(network.url, timeouts=IMPATIENT),
        "nobody": model(nobody, timeouts=IMPATIENT),
        "healthy": model(healthy.url),
    }
    agents = {"default": ["far", "healthy"], "lonely": ["nobody", "healthy"]}
    retry = {"max_attempts": 2, "base_delay": "1ms", "budget": 1}
    directory = tmp_path_factory.mktemp("network")
    async with stage(directory, models, agents, retry=retry, circuit_breaker=NEVER_OPENS) as served:
        yield served


@pytest.fixture(autouse=True)
def _fair_weather(network: TcpProxy, sick: Upstream) -> None:
    """Each test begins with new connections, on a network that does nothing."""
    network.reset()
    network.weather = FAIR
    sick.respond(well)


def long_answer(sick: Upstream) -> None:
    """Let the upstream stream about 20 KB."""
    sick.answer_always(*stream(*OPENAI.events(PIECES * 30, OPENAI.usage)))


@pytest.mark.parametrize("streams", [False, True], ids=["unary", "stream"])
async def test_where_nobody_listens_the_next_model_answers(daemon: Stage, *, streams: bool) -> None:
    """A refused connection is no more than another model's turn; alone it is UNAVAILABLE."""
    seen = await daemon.ask("lonely", streams=streams)
    alone = await daemon.ask("model/nobody", streams=streams)

    assert seen.text == "well", seen.error
    assert seen.response is not None
    assert [attempt.reason for attempt in seen.response.attempts] == ["connect_failed", ""]
    assert alone.ending == "MODELS_UNAVAILABLE"


@pytest.mark.parametrize("streams", [False, True], ids=["unary", "stream"])
async def test_a_blackhole_costs_a_timeout_and_the_next_model_answers(
    daemon: Stage, network: TcpProxy, sick: Upstream, *, streams: bool
) -> None:
    """The connection stands, and nothing comes through."""
    network.weather = BLACKHOLE
    faults, calls = network.faults, sick.calls

    seen = await daemon.ask("default", streams=streams)

    assert (network.faults, sick.calls) == (faults + 1, calls)
    assert seen.text == "well", seen.error
    assert seen.attempts == ["far", "healthy"]


async def test_a_stream_that_falls_into_a_blackhole_is_broken(daemon: Stage, network: TcpProxy, sick: Upstream) -> None:
    """The idle timeout ends it, and the text that was said stays said."""
    heard, gone_dark = asyncio.Event(), asyncio.Event()
    sick.answer_always(STREAM_HEAD, chunk(saying(OPENAI, PIECES[0])), gone_dark, chunk(saying(OPENAI, PIECES[1])), HANG)
    asking = asyncio.create_task(daemon.ask("default", streams=True, heard=heard))
    await heard.wait()
    network.weather = BLACKHOLE
    faults = network.faults
    gone_dark.set()

    seen = await asking

    assert network.faults > faults
    assert (seen.ending, seen.text) == ("STREAM_BROKEN", PIECES[0])


@pytest.mark.parametrize("weather", [Weather(latency=0.05), Weather(bandwidth=100_000)], ids=["latency", "bandwidth"])
async def test_a_slow_network_is_slow_and_nothing_else(
    daemon: Stage, network: TcpProxy, sick: Upstream, healthy: Upstream, weather: Weather
) -> None:
    """Whoever is slow within their timeouts answers whole, and is not asked twice."""
    long_answer(sick)
    network.weather = weather
    faults, calls, others = network.faults, sick.calls, healthy.calls

    seen = await daemon.ask("default", streams=True, timeout=20)

    assert network.faults > faults
    assert (sick.calls, healthy.calls) == (calls + 1, others)
    assert seen.text == TEXT * 30, seen.error


async def test_a_connection_cut_after_some_bytes_breaks_its_stream(
    daemon: Stage, network: TcpProxy, sick: Upstream
) -> None:
    """What came before the cut is a beginning, said once."""
    long_answer(sick)
    network.weather = Weather(limit=5000, latency=0.005)
    faults = network.faults

    seen = await daemon.ask("default", streams=True)

    assert network.faults > faults
    assert seen.ending == "STREAM_BROKEN"
    assert (TEXT * 30).startswith(seen.text)


async def test_connections_reset_in_the_pool_cost_no_call(daemon: Stage, network: TcpProxy, sick: Upstream) -> None:
    """Idle connections die unseen; the calls that would have used them are answered all the same."""
    await asyncio.gather(*(daemon.ask("default") for _ in range(10)))
    connections = network.connections
    network.reset()

    seen = await asyncio.gather(*(daemon.ask("default") for _ in range(10)))

    assert connections > 1
    assert [each.text for each in seen] == ["well"] * 10
