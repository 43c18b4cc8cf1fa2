"""A configuration is taken into service whole, or not at all."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import pytest
from grpc_health.v1 import health_pb2

from fakes.config_file import ConfigFile
from penstockd import app as module
from penstockd.app import App, check
from penstockd.clock import SystemClock
from penstockd.config import ConfigErrors, Settings
from penstockd.exporters import exporters
from penstockd.ledger import NoLedger
from penstockd.log import Log
from penstockd.model import Model
from penstockd.resilience.circuit import State
from penstockd.runtime import Runtime

TWO = """
models:
  a: {provider: openai, base_url: "http://127.0.0.1:1/v1", model: m}
  b: {provider: openai, base_url: "http://127.0.0.1:1/v1", model: m}
agents: {default: {route: {models: [a, b]}}}
"""


class House:
    """An app, and what it serves."""

    def __init__(self, config: ConfigFile) -> None:
        self.app = App(ledger=NoLedger(), clock=SystemClock(), log=Log("test"), exporters=exporters({}, version="test"))
        self._config = config

    def settings(self, text: str) -> Callable[[], Settings]:
        """What loads `text`."""
        return lambda: self._config.load(text)

    def start(self, text: str = TWO) -> None:
        """Serve `text`."""
        self.app.use(self.app.build(self._config.load(text)))

    def model(self, name: str) -> Model:
        """A model of those in service."""
        runtime: Runtime | None = self.app._runtime  # noqa: SLF001 - what is in service, without a server around it
        assert runtime
        return runtime.pool.models[name]

    async def health(self) -> dict[str, bool]:
        """Which models serve, as callers are told."""
        for _ in range(5):
            await asyncio.sleep(0)
        response = await self.app.health.servicer.List(health_pb2.HealthListRequest(), None)  # type: ignore[arg-type]  # it asks nothing of it
        serving = health_pb2.HealthCheckResponse.SERVING
        return {
            name.removeprefix("model/"): each.status == serving
            for name, each in response.statuses.items()
            if name.startswith("model/")
        }


@pytest.fixture
async def house(config: ConfigFile) -> AsyncIterator[House]:
    """An app that is closed at the end."""
    it = House(config)
    yield it
    await it.app.close()


async def test_a_bad_file_changes_nothing(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """Every mistake of it is said."""
    house.start()
    before = house.model("a")

    house.app.reload(house.settings(TWO.replace("openai", "opnai")))

    assert house.model("a") is before
    mistakes = [record.__dict__["fields"]["mistake"] for record in caplog.records]
    assert [mistake.partition(":")[0] for mistake in mistakes] == ["models.a.provider", "models.b.provider"]


async def test_a_good_file_is_used_at_once(house: House) -> None:
    """What it changes is new, what it keeps is kept."""
    house.start()
    kept = house.model("b")

    house.app.reload(house.settings(TWO.replace("a: {provider: openai,", "a: {provider: openai, max_in_flight: 3,")))

    assert house.model("a").permits.limit == 3
    assert house.model("b") is kept


async def test_a_replaced_model_begins_healthy(house: House) -> None:
    """Its name was not serving for its predecessor, whose late news concern nobody any more."""
    house.start()
    old = house.model("a")
    house.app._changed(old, old.breaker.force_open("test"))  # noqa: SLF001 - as the breaker's interceptor tells it
    assert await house.health() == {"a": False, "b": True}

    house.app.reload(house.settings(TWO.replace("a: {provider: openai,", "a: {provider: openai, max_in_flight: 3,")))

    assert await house.health() == {"a": True, "b": True}
    house.app._changed(old, old.breaker.disable())  # noqa: SLF001 - as above
    assert await house.health() == {"a": True, "b": True}


async def test_a_kept_model_keeps_its_state(house: House) -> None:
    """A reload does not mend an upstream."""
    house.start()
    house.app._changed(house.model("a"), house.model("a").breaker.force_open("test"))  # noqa: SLF001 - as above

    house.app.reload(house.settings(TWO))

    assert house.model("a").breaker.state is State.OPEN
    assert await house.health() == {"a": False, "b": True}


async def test_a_misconfigured_model_is_tried_again(house: House) -> None:
    """Somebody may have mended the key: it is closed after a reload."""
    house.start()
    house.app._changed(house.model("a"), house.model("a").breaker.trip("misconfigured", 300.0))  # noqa: SLF001 - as above

    house.app.reload(house.settings(TWO))

    assert house.model("a").breaker.state is State.CLOSED
    assert await house.health() == {"a": True, "b": True}


async def test_a_disabled_model_is_not_serving(house: House) -> None:
    """Its circuit is closed, and yet nothing passes."""
    house.start()

    house.app._changed(house.model("a"), house.model("a").breaker.disable())  # noqa: SLF001 - as above

    assert await house.health() == {"a": False, "b": True}


async def test_what_takes_a_restart_is_said(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """The rest of the file is used."""
    house.start()

    house.app.reload(
        house.settings(TWO + 'server: {drain_delay: 7s, max_in_flight: 5}\nadmin: {listen: "127.0.0.1:1"}')
    )

    said = [record.__dict__["fields"].get("setting") for record in caplog.records if record.levelname == "WARNING"]
    assert said == ["server.drain_delay", "admin"]


async def test_a_call_that_never_ends_does_not_keep_the_daemon(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its model's connections are closed after a last chance."""
    monkeypatch.setattr(module, "LAST_CHANCE", 0.05)
    house.start()
    assert house.model("a").permits.take()
    started = time.monotonic()

    await house.app.close()

    assert time.monotonic() - started < 5.0
    house.model("a").permits.release()


async def test_closing_what_was_never_used_is_fine(house: House) -> None:
    """A start that failed elsewhere ends like any other."""
    await house.app.close()


def test_check_builds_and_throws_away(config: ConfigFile) -> None:
    """Whatever cannot be made is an error of the configuration."""
    check(config.load(TWO))
    python = "default: {python: 'fakes.broken_module:run', route"
    broken = config.load(TWO.replace("default: {route", python))

    with pytest.raises(ConfigErrors, match="the database is down"):
        check(broken)
