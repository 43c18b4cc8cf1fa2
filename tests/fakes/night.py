"""Three tenants who call a daemon all night, and what may go wrong around it."""

import asyncio
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import grpc

import penstock
from fakes import answers
from fakes.certificates import self_signed
from fakes.models import openai
from fakes.rpc import PROCESS, wire
from fakes.upstream import Received, Script, Upstream, response, stream
from peers import peer
from peers.live_daemon import Daemons, Penstockd
from penstock.v1.agent_service_pb2 import ProcessRequest
from penstockd.api_key import digest, generate
from penstockd.usage import Usage

PEPPER = "a-pepper-for-one-night"
STRANGER = "stranger"
TENANTS: Mapping[str, Mapping[str, object]] = {
    "acme": {"limits": [{"per": "tenant", "requests": "5/s"}]},
    "globex": {"budgets": [{"per": "tenant", "usd": 0.5005, "period": "total"}]},
    "initech": {},
}
PRICE = {"input": 1, "output": 100}
USAGE = Usage(uncached_input=10, output=100)
"""What a question is estimated at, so that fifty of them leave nothing of globex's budget."""
DEAD = response(b'{"error": {"message": "down"}}', status=500)


class Caller:
    """Asks `rate` times a second, for streams and whole answers in turn, and counts how that ended."""

    def __init__(self, client: penstock.AgentClient) -> None:
        self.rate = 3.0
        self.ended = Counter[str]()
        self._client = client
        self._numbers = count()

    async def call(self) -> None:
        """For ever."""
        async with self._client, asyncio.TaskGroup() as calls:
            while True:
                calls.create_task(self._ask())
                await asyncio.sleep(1 / self.rate)

    async def _ask(self) -> None:
        number = next(self._numbers)
        try:
            if number % 2:
                await self._client.process(f"question {number}", max_output_tokens=100, timeout=5.0)
            else:
                async for _ in self._client.stream(f"question {number}", max_output_tokens=100, timeout=5.0):
                    pass
        except penstock.PenstockError as error:
            self.ended[error.reason] += 1
        else:
            self.ended["answered"] += 1


@dataclass(frozen=True)
class Night:
    """A daemon that serves; `fast` is its first model, `strong` the one behind it."""

    daemon: Penstockd
    fast: Upstream
    strong: Upstream
    callers: Mapping[str, Caller]
    state: Path
    ca: Path
    key: str
    """Of a caller who does as its tenant may."""

    def misbehave(self) -> None:
        """Let a model die, a tenant flood its limit, another run through its budget, and a stranger try keys."""
        self.fast.answer_always(DEAD)
        self.callers["acme"].rate = 20
        self.callers["globex"].rate = 10
        self.callers[STRANGER].rate = 10

    async def ask_unchecked(self) -> str:
        """Call past the health that the others' channels watch, and return the reason of the status."""
        trust = grpc.ssl_channel_credentials(self.ca.read_bytes())
        metadata = (("authorization", f"Bearer {self.key}"),)
        async with wire(self.daemon.target, credentials=trust) as caller:
            return (await caller.ask(PROCESS, ProcessRequest(input="all the same"), metadata=metadata)).reason

    @contextmanager
    def locked_ledger(self) -> Iterator[None]:
        """Hold the ledger as a shell does whose user has begun a transaction and gone home."""
        with closing(sqlite3.connect(self.state / "ledger.db", isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield
            connection.execute("ROLLBACK")


def well(request: Received) -> Script:
    """How a healthy model answers."""
    if b'"stream":true' in request.body:
        return stream(*answers.openai_events(["we", "ll"], USAGE))
    return (response(answers.openai_answer("well", USAGE)),)


@asynccontextmanager
async def night(daemons: Daemons, directory: Path) -> AsyncIterator[Night]:
    """Serve the tenants for the length of the block."""
    cert, key = self_signed(peer("openssl"), directory)
    keys = {name: generate() for name in TENANTS}
    tenants = {
        name: {"keys": [{"name": "web", "hash": digest(PEPPER, keys[name])}], **rules}
        for name, rules in TENANTS.items()
    }
    async with Upstream() as fast, Upstream() as strong:
        for upstream in (fast, strong):
            upstream.respond(well)
        daemon = await daemons.start(
            environ={"PENSTOCK_KEY_PEPPER": PEPPER, "PENSTOCK_STATE_DIR": str(directory / "state")},
            models={"fast": openai(fast, price=PRICE), "strong": openai(strong, price=PRICE)},
            agents={"default": {"route": {"models": ["fast", "strong"]}}},
            tenants=tenants,
            server={"tls": {"cert": str(cert), "key": str(key)}},
            circuit_breaker={"open_for": "1s", "max_open_for": "2s"},
        )
        trust = penstock.TLS(ca=cert)
        callers = {
            name: Caller(penstock.AgentClient(daemon.target, api_key=key, tls=trust))
            for name, key in [*keys.items(), (STRANGER, generate())]
        }
        callers[STRANGER].rate = 0.5
        async with asyncio.TaskGroup() as tasks:
            calling = [tasks.create_task(caller.call()) for caller in callers.values()]
            yield Night(daemon, fast, strong, callers, directory / "state", cert, keys["initech"])
            for task in calling:
                task.cancel()
