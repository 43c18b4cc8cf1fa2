"""Takes changed settings into service, whole or not at all."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from penstockd.app import App
from penstockd.clock import Clock
from penstockd.config import ConfigErrors, Settings, cautions, differences, secret_values
from penstockd.logs.log import Log
from penstockd.logs.log_sink import LogSink
from penstockd.logs.setup import set_level
from penstockd.restart import needing_restart
from penstockd.runtime import Runtime
from penstockd.upstream import Misconfigured

REFUSED = "the new configuration is not used"
LOGGED = 20
"""Changed settings that the log names."""
SHOWN = 3
"""Those that fit on a screen beside all else that has changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What the files say now, how that differs from what is in service, and what people should be told of it."""

    settings: Settings
    secrets: Sequence[str]
    secrets_in_use: Sequence[str]
    changed: Sequence[str]
    needs_restart: Sequence[str]
    warnings: Sequence[str]


class Reload:
    """What SIGHUP asks for."""

    def __init__(
        self,
        app: App,
        load: Callable[[], Settings],
        *,
        started: Settings,
        clock: Clock,
        sink: LogSink,
        log: Log,
    ) -> None:
        """Load anew by `load`; the process `started` by these, and `sink` is to write no secret of new ones."""
        self._app = app
        self._load = load
        self._started = started
        self._told: Sequence[str] = cautions(started, clock.wall())
        self._clock = clock
        self._sink = sink
        self._log = log

    async def whenever(self, asked: asyncio.Event) -> None:
        """Reload each time that somebody `asked`; those who ask while files are read are served by one more reload.

        Files are read in a thread, so that calls go on, however long that takes. Once cancelled, it changes nothing.
        """
        # The process waits for it at its end: one that left a thread behind within pydantic would be aborted.
        reader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="reload")
        try:
            while True:
                await asked.wait()
                asked.clear()
                self.use(await asyncio.get_running_loop().run_in_executor(reader, self.read))
        finally:
            reader.shutdown(wait=False)

    def read(self) -> Found | BaseException:
        """Read and check the files, in any thread; return what is there, or what is wrong with it."""
        before = self._app.succession.present
        try:
            settings = self._load()
            return Found(
                settings=settings,
                secrets=list(secret_values(settings)),
                secrets_in_use=list(secret_values(before.settings)) if before else [],
                changed=list(differences(before.settings, settings)) if before else [],
                needs_restart=needing_restart(list(differences(self._started, settings))),
                warnings=cautions(settings, self._clock.wall()),
            )
        except BaseException as error:  # noqa: BLE001 - `use` tells of it
            return error

    def use(self, found: Found | BaseException) -> None:
        """Use the new settings, or keep those in use and say what is wrong with the new ones."""
        if isinstance(found, BaseException):
            self._refuse(found)
            return
        before = self._app.succession.present
        try:
            # Before foreign code sees them, which may repeat them in what it raises; those in use stay hidden too.
            self._sink.hide([*found.secrets_in_use, *found.secrets])
            runtime = self._app.build(found.settings)
        except BaseException as error:  # noqa: BLE001 - whatever it is, what serves goes on serving
            self._refuse(error)
            return
        self._warn(found)
        self._forgive(runtime)
        self._app.use(runtime)
        self._sink.hide(found.secrets)
        self._note("reloaded", brief(found.changed, SHOWN))
        level = runtime.settings.log.level
        # Whoever changes it looks for this line, be it by the old level or by the new one.
        levels = {before.settings.log.level if before else level, level}
        set_level(min(levels, key=logging.getLevelNamesMapping().__getitem__))
        self._log.info("the configuration was reloaded", changed=brief(found.changed, LOGGED) or "nothing")
        set_level(level)

    def _refuse(self, error: BaseException) -> None:
        if not isinstance(error, ConfigErrors):
            self._log.exception(REFUSED, error)
            self._note("refused", "an error in the log")
            self._app.succession.refused = "an error in the log"
            return
        for each in error.errors:
            # In this order, as what follows the name of a credential is masked.
            self._log.error(REFUSED, mistake=each.text, setting=each.path)
        self._note("refused", f"{len(error.errors)} in the log")
        # Where, and not what: only the log masks secrets.
        settings = list(dict.fromkeys(each.path for each in error.errors))
        self._app.succession.refused = brief(settings, SHOWN)

    def _warn(self, found: Found) -> None:
        """Say what takes a restart, each time until there was one, and what people were not told yet."""
        for setting in found.needs_restart:
            self._log.warning("this setting takes a restart to change", setting=setting)
        told, self._told = self._told, found.warnings
        for warning in self._told:
            if warning not in told:
                self._log.warning(warning)

    def _note(self, state: str, cause: str) -> None:
        self._app.state.changes.add("configuration", "configuration", state, cause)

    def _forgive(self, runtime: Runtime) -> None:
        """Ask those models again whose upstream refused our key or their name: somebody may have mended that."""
        for model in runtime.pool.models.values():
            if model.breaker.cause == Misconfigured.reason:
                self._app.succession.changed(model, model.breaker.enable())


def brief(changed: Sequence[str], most: int) -> str:
    """The first `most` of the paths, and how many more there are."""
    rest = len(changed) - most
    return ", ".join([*changed[:most], f"{rest} more"] if rest > 0 else changed)
