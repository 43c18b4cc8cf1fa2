"""A composed daemon without a server around it: what is in service, and what reloads it."""

import asyncio
from io import StringIO

from fakes.clock import FakeClock
from fakes.config_file import ConfigFile
from penstockd.app import App
from penstockd.clock import SystemClock
from penstockd.config import Settings
from penstockd.exporters.exporters import exporters_from
from penstockd.health_servicer import SERVING
from penstockd.ledger import NoLedger
from penstockd.logs.log import Log
from penstockd.logs.log_sink import LogSink
from penstockd.logs.redaction import Redaction
from penstockd.logs.repeats import Repeats
from penstockd.model import Model
from penstockd.reload import Reload

TWO = """
models:
  a: {provider: openai, base_url: "http://127.0.0.1:1/v1", model: m}
  b: {provider: openai, base_url: "http://127.0.0.1:1/v1", model: m}
agents: {default: {route: {models: [a, b]}}}
"""
A_CHANGED = TWO.replace("a: {provider: openai,", "a: {provider: openai, max_in_flight: 3,")


class House:
    """An app, and what it serves."""

    def __init__(self, config: ConfigFile) -> None:
        telemetry = exporters_from({}, version="test")
        self.instruments = telemetry.instruments
        self.app = App(ledger=NoLedger(), clock=SystemClock(), log=Log("test"), exporters=telemetry)
        self.written = StringIO()
        self.sink = LogSink(self.written, redaction=Redaction(), repeats=Repeats(SystemClock()))
        self.clock = FakeClock()
        self._config = config
        self._text = ""
        self._reload: Reload | None = None

    def start(self, text: str = TWO) -> None:
        """Serve `text`."""
        self._text = text
        settings = self.settings(text)
        self.app.use(self.app.build(settings))
        self._reload = Reload(self.app, self._load, started=settings, clock=self.clock, sink=self.sink, log=Log("test"))

    def reload(self, text: str) -> None:
        """Ask for `text` to be served."""
        assert self._reload, "it has to start first"
        self._text = text
        self._reload.use(self._reload.read())

    def settings(self, text: str) -> Settings:
        """What `text` describes."""
        return self._config.load(text, {"PENSTOCK_KEY_PEPPER": "pepper"})

    def model(self, name: str) -> Model:
        """A model of those in service."""
        return self.app.succession.models[name]

    async def health(self) -> dict[str, bool]:
        """Which models serve, as callers are told."""
        for _ in range(5):
            await asyncio.sleep(0)
        return {
            name.removeprefix("model/"): status == SERVING
            for name, status in self.app.health.servicer.statuses.items()
            if name.startswith("model/")
        }

    async def close(self) -> None:
        """End all that it began."""
        await self.app.succession.close()
        self.sink.close()

    def _load(self) -> Settings:
        return self.settings(self._text)
