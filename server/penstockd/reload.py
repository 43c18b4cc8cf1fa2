"""Takes changed settings into service, whole or not at all."""

import logging
from collections.abc import Callable, Sequence

from penstockd.app import App
from penstockd.clock import Clock
from penstockd.config import ConfigErrors, Settings, differences, secret_values
from penstockd.logs.log import Log, set_level
from penstockd.logs.log_sink import LogSink
from penstockd.restart import needing_restart
from penstockd.runtime import Runtime
from penstockd.upstream import Misconfigured

REFUSED = "the new configuration is not used"
LOGGED = 20
"""Changed settings that the log names."""
SHOWN = 3
"""Those that fit on a screen beside all else that has changed."""


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
        self._told = started.warnings_at(clock.wall())
        self._clock = clock
        self._sink = sink
        self._log = log

    def __call__(self) -> None:
        """Use the new settings, or keep those in use and say what is wrong with the new ones."""
        before = self._app.succession.present
        try:
            settings = self._load()
            # Before foreign code sees them, which may repeat them in what it raises; those in use stay hidden too.
            self._sink.hide([*(secret_values(before.settings) if before else ()), *secret_values(settings)])
            runtime = self._app.build(settings)
        except ConfigErrors as errors:
            self._refuse(errors)
            return
        except BaseException as error:  # noqa: BLE001 - whatever it is, what serves goes on serving
            self._log.exception(REFUSED, error)
            self._note("refused", "an error in the log")
            self._app.succession.refused = "an error in the log"
            return
        changed = list(differences(before.settings, runtime.settings)) if before else []
        self._warn(runtime.settings)
        self._forgive(runtime)
        self._app.use(runtime)
        self._sink.hide(secret_values(runtime.settings))
        self._note("reloaded", brief(changed, SHOWN))
        level = runtime.settings.log.level
        # Whoever changes it looks for this line, be it by the old level or by the new one.
        levels = {before.settings.log.level if before else level, level}
        set_level(min(levels, key=logging.getLevelNamesMapping().__getitem__))
        self._log.info("the configuration was reloaded", changed=brief(changed, LOGGED) or "nothing")
        set_level(level)

    def _refuse(self, errors: ConfigErrors) -> None:
        for error in errors.errors:
            # In this order, as what follows the name of a credential is masked.
            self._log.error(REFUSED, mistake=error.text, setting=error.path)
        self._note("refused", f"{len(errors.errors)} in the log")
        # Where, and not what: only the log masks secrets.
        settings = list(dict.fromkeys(error.path for error in errors.errors))
        self._app.succession.refused = brief(settings, SHOWN)

    def _warn(self, settings: Settings) -> None:
        """Say what takes a restart, each time until there was one, and what people were not told yet."""
        for setting in needing_restart(list(differences(self._started, settings))):
            self._log.warning("this setting takes a restart to change", setting=setting)
        told, self._told = self._told, settings.warnings_at(self._clock.wall())
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
