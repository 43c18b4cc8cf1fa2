"""A daemon, the configuration it serves, and a caller who writes down what came of each call."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import penstock
from fakes.memory import Memory
from fakes.providers import OPENAI, Kind
from fakes.upstream import Received, Script, response, stream
from peers.live_daemon import NOTHING, Daemons, Penstockd
from penstock.v1.agent_service_pb2 import ProcessResponse
from penstock.v1.pool_service_pb2 import BREAKER_STATE_OPEN, Model

Section = Mapping[str, object]

NEVER_OPENS: Section = {"consecutive_failures": 1_000_000, "min_calls": 1_000_000, "failure_rate": 1}
OPENS_SOON: Section = {"consecutive_failures": 3, "open_for": "500ms", "max_open_for": "500ms"}
POLLED_EVERY = 0.005


@dataclass(kw_only=True)
class Seen:
    """What one caller saw of one call, and how long it took in seconds."""

    pieces: list[str] = field(default_factory=list)
    heard: asyncio.Event = field(default_factory=asyncio.Event)
    response: ProcessResponse | None = None
    error: penstock.PenstockError | None = None
    seconds: float = 0.0

    @property
    def text(self) -> str:
        """All of the answer that arrived."""
        return "".join(self.pieces)

    @property
    def ending(self) -> str:
        """The reason of the status; empty for an answer."""
        return self.error.reason if self.error else ""

    @property
    def attempts(self) -> list[str]:
        """The models that were asked, in order."""
        assert self.response is not None, self.error
        return [attempt.model for attempt in self.response.attempts]


@dataclass(frozen=True)
class Stage:
    """A daemon that serves, and a client of it."""

    daemon: Penstockd
    client: penstock.AgentClient

    async def ask(
        self,
        agent: str,
        text: str = "hello",
        *,
        streams: bool = False,
        timeout: float = 10.0,
        heard: asyncio.Event | None = None,
    ) -> Seen:
        """Call and return what came of it; `heard` is set by the first text of a stream."""
        seen = Seen(heard=heard or asyncio.Event())
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            if streams:
                await self._read(seen, agent, text, timeout)
            else:
                seen.response = await self.client.process(text, agent=agent, timeout=timeout)
                seen.pieces.append(seen.response.output)
        except penstock.PenstockError as error:
            seen.error = error
        seen.seconds = loop.time() - started
        return seen

    async def until(self, name: str, is_so: Callable[[Model], bool]) -> None:
        """Return once the model, as the daemon sees it, is so."""
        while True:
            if is_so(await self.model(name)):
                return
            await asyncio.sleep(POLLED_EVERY)

    async def until_open(self, name: str) -> None:
        """Ask a model that fails until its circuit opens."""
        while (await self.model(name)).breaker_state != BREAKER_STATE_OPEN:
            await self.ask(f"model/{name}")

    async def until_due(self, name: str) -> None:
        """Return once the model may be asked, if only by a probe."""
        await self.until(name, lambda model: not model.HasField("next_probe_in"))

    async def until_idle(self, name: str) -> None:
        """Return once no call is on its way to the model."""
        await self.until(name, lambda model: not model.in_flight)

    async def until_under_way(self, number: int) -> None:
        """Return once the daemon has taken on this many calls that it has not ended."""
        while True:
            if (await self.daemon.status())["calls"]["in_flight"] == number:
                return
            await asyncio.sleep(POLLED_EVERY)

    async def _read(self, seen: Seen, agent: str, text: str, timeout: float) -> None:
        async with self.client.stream(text, agent=agent, timeout=timeout) as stream:
            async for piece in stream:
                seen.pieces.append(piece)
                seen.heard.set()
            seen.response = stream.response

    @property
    def memory(self) -> Memory:
        """The daemon's memory, watched within `async with`."""
        return Memory(self.daemon.pid)

    async def model(self, name: str) -> Model:
        """The model as the daemon sees it now."""
        return next(model for model in await self.client.list_models() if model.name == name)


@asynccontextmanager
async def stage(
    directory: Path,
    models: Mapping[str, Section],
    agents: Mapping[str, Sequence[str]],
    *,
    strategy: str = "priority",
    **sections: Section,
) -> AsyncIterator[Stage]:
    """Serve `models`, each agent asking those of its own; any model is also there by itself, as model/NAME."""
    config: dict[str, object] = {
        "models": models,
        "agents": {
            name: {"instructions": "Be kind.", "route": _route(strategy, names)} for name, names in agents.items()
        },
        "default_agent": next(iter(agents)),
        **sections,
    }
    async with Daemons(directory) as daemons:
        daemon = await daemons.start(environ=NOTHING, **config)
        async with penstock.AgentClient(daemon.target) as client:
            yield Stage(daemon, client)


def _route(strategy: str, names: Sequence[str]) -> Section:
    models = dict.fromkeys(names, 1) if strategy == "weighted" else list(names)
    return {"strategy": strategy, "models": models}


def model(url: str, kind: Kind = OPENAI, *, max_in_flight: int = 100, timeouts: Mapping[str, str] = NOTHING) -> Section:
    """A model at `url`."""
    return {
        "provider": kind.name,
        "base_url": url,
        "api_key": "sk-made-up",
        "model": "some",
        "max_in_flight": max_in_flight,
        "timeouts": {"connect": "1s", "first_token": "5s", "idle": "5s", "total": "10s", **timeouts},
    }


def well(request: Received) -> Script:
    """How a healthy model answers."""
    if isinstance(request.json, dict) and request.json.get("stream"):
        return stream(*OPENAI.events(["we", "ll"], OPENAI.usage))
    return (response(OPENAI.answer("well", OPENAI.usage)),)
