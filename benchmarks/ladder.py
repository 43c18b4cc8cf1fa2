"""The real chain of a daemon with everything on, cut off at each depth: a rung more is one interceptor more."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias, cast
from unittest.mock import patch

import grpc

from benchmarks.configuration import Configuration
from benchmarks.load import METADATA, TIMEOUT
from benchmarks.upstream import ANSWER, TOKENS
from penstockd.agents.prompt_agent import PromptAgent
from penstockd.app import App
from penstockd.builders.ledger import open_ledger
from penstockd.call import Call, Completed, Delta, Handler, Interceptor, chain
from penstockd.clock import SystemClock
from penstockd.config import load
from penstockd.endpoint import Endpoint
from penstockd.exporters.exporters import exporters_from
from penstockd.grpc_adapter import Adapter
from penstockd.logs.log import Log
from penstockd.logs.setup import write_logs_to
from penstockd.outcome import Attempt, FinishReason
from penstockd.runtime import Runtime
from penstockd.usage import Usage

PROCESS = "/penstock.v1.AgentService/Process"

Serve: TypeAlias = Callable[[bytes], Awaitable[bytes]]
"""From the bytes of a request to those of its response."""


@dataclass(frozen=True, slots=True)
class Rung:
    """The chain as deep as what is `name`d, which it is the first to have."""

    name: str
    serve: Serve


@dataclass(frozen=True, slots=True)
class Ladder:
    """Every rung, the outermost alone first; `flush` sends the spans that wait, at the cost of who made them."""

    rungs: Sequence[Rung]
    flush: Callable[[], object]


@asynccontextmanager
async def ladder(configuration: Configuration, folder: Path) -> AsyncIterator[Ladder]:
    """Build what the daemon builds, in this process and without gRPC; the SDK takes its variables from os.environ."""
    file = folder / "penstock.yaml"
    file.write_text(configuration.text)
    environ = {**configuration.environment, "PENSTOCK_STATE_DIR": str(folder)}
    settings = load(path=file, environ=environ, flags={})
    clock, log, telemetry = SystemClock(), Log("penstockd"), exporters_from(environ, version="")
    ledger = open_ledger(settings, clock=clock, log=log, instruments=telemetry.instruments)
    app, composed = App(ledger=ledger, clock=clock, log=log, exporters=telemetry), _Composed()
    with patch("penstockd.app.chain", composed.chain):
        runtime = app.build(settings)
    (spans,) = telemetry.spans.processors
    with (folder / "log").open("w") as out:
        sink = write_logs_to(out, level=settings.log.level, style="json")
        await ledger.start(lambda _fault: None, app.state.reconciliation.count_losses)
        app.use(runtime)
        try:
            yield Ladder(list(_rungs(runtime, composed)), spans.force_flush)
        finally:
            await runtime.pool.close()
            await ledger.stop()
            telemetry.stop()
            sink.close()
    assert not ledger.fault, "the ledger failed"
    assert not telemetry.spans.dropped, "spans were lost"


class _Composed:
    """What each chain was composed of."""

    def __init__(self) -> None:
        self._parts: dict[Handler[Any], tuple[Sequence[Interceptor[Any]], Handler[Any]]] = {}

    def chain(self, interceptors: Sequence[Interceptor[Any]], handler: Handler[Any]) -> Handler[Any]:
        """Compose as the daemon does, and remember of what."""
        whole = chain(interceptors, handler)
        self._parts[whole] = interceptors, handler
        return whole

    def parts(self, whole: Handler[Any]) -> tuple[Sequence[Interceptor[Any]], Handler[Any]]:
        """The interceptors, outermost first, and what they are around."""
        return self._parts[whole]


def _rungs(runtime: Runtime, composed: _Composed) -> Iterator[Rung]:
    (endpoint,) = (each for each in runtime.endpoints if each.method.path == PROCESS)
    agent = runtime.agents.find("fast")
    assert isinstance(agent, PromptAgent)
    around_calls, process = composed.parts(endpoint.handle)
    around_models, _ = composed.parts(agent.ask)

    def rung(name: str, handle: Handler[Any]) -> Rung:
        return Rung(name, _serving(replace(endpoint, handle=handle)))

    yield rung("adapter, messages", _answer)
    for depth, interceptor in enumerate(around_calls, 1):
        yield rung(_name(interceptor), chain(around_calls[:depth], _answer))
    yield rung("agent", chain(around_calls, replace(agent, ask=_answer)))
    for depth, interceptor in enumerate(around_models, 1):
        asking = replace(agent, ask=chain(around_models[:depth], _answer))
        yield rung(_name(interceptor), chain(around_calls, asking))
    yield rung("provider", chain(around_calls, process))


def _name(interceptor: Interceptor[Any]) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in type(interceptor).__name__)[1:]


async def _answer(call: Call[Any]) -> None:
    """Answer as the upstream would, and leave behind what one attempt does, for the layers above to tell of."""
    outcome = call.outcome
    outcome.agent, outcome.model = "fast", "fast"
    if not outcome.attempts:
        now = call.started_at
        attempt = Attempt(model="fast", started_at=now, asked_at=now, answered_at=now, ended_at=now, cost_nanousd=1)
        outcome.attempts.append(attempt)
    await call.send(Delta(ANSWER))
    await call.send(Completed(finish_reason=FinishReason.STOP, usage=Usage(uncached_input=60, output=TOKENS)))


def _serving(endpoint: Endpoint[Any]) -> Serve:
    """Serve one endpoint as gRPC's server would have it served, with a context that does nothing."""
    adapter = Adapter(clock=SystemClock(), log=Log("penstockd"))
    adapter.serve([endpoint])

    async def serve(data: bytes) -> bytes:
        # Asked for each call: it is by this that the call has its metadata.
        handler = adapter.service(_Details())
        assert handler
        return await cast("Callable[[bytes, _Context], Awaitable[bytes]]", handler.unary_unary)(data, _Context())

    return serve


class _Details(grpc.HandlerCallDetails):
    method = PROCESS
    invocation_metadata = METADATA


class _Context:
    """What the adapter asks of gRPC's context for a call that goes well."""

    def time_remaining(self) -> float:
        return TIMEOUT

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return METADATA

    def peer(self) -> str:
        return "ipv4:127.0.0.1:1"

    async def send_initial_metadata(self, metadata: object) -> None:
        pass

    def set_trailing_metadata(self, metadata: object) -> None:
        pass

    async def abort(self, *ending: object) -> None:
        raise AssertionError(ending)
