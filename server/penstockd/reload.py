"""Takes changed settings into service, whole or not at all."""

from collections.abc import Callable, Sequence

from penstockd.app import App
from penstockd.config import ConfigErrors, Settings, differences, secret_values
from penstockd.log import Log, set_level
from penstockd.log_sink import LogSink
from penstockd.restart import needing_restart
from penstockd.runtime import Runtime
from penstockd.upstream import Misconfigured

LOGGED = 20
"""Changed settings that the log names."""
SHOWN = 3
"""Those that fit on a screen beside all else that has changed."""


class Reload:
    """What SIGHUP asks for."""

    def __init__(self, app: App, load: Callable[[], Settings], *, sink: LogSink, log: Log) -> None:
        """Load anew by `load`; `sink` is to write no secret of what it returns."""
        self._app = app
        self._load = load
        self._sink = sink
        self._log = log

    def __call__(self) -> None:
        """Use the new settings, or keep those in use and say what is wrong with the new ones."""
        try:
            runtime = self._app.build(self._load())
        except ConfigErrors as errors:
            self._refuse(errors)
            return
        before = self._app.succession.present
        changed = list(differences(before.settings, runtime.settings)) if before else []
        for setting in needing_restart(changed):
            self._log.warning("this setting takes a restart to change", setting=setting)
        self._forgive(runtime)
        self._app.use(runtime)
        self._sink.hide(secret_values(runtime.settings))
        self._app.state.changes.add("configuration", "configuration", "reloaded", brief(changed, SHOWN))
        self._log.info("the configuration was reloaded", changed=brief(changed, LOGGED) or "nothing")
        set_level(runtime.settings.log.level)

    def _refuse(self, errors: ConfigErrors) -> None:
        for error in errors.errors:
            self._log.error("the new configuration is not used", mistake=str(error))
        # The log masks secrets, which a mistake found by foreign code may repeat.
        self._app.state.changes.add("configuration", "configuration", "refused", f"{len(errors.errors)} in the log")

    def _forgive(self, runtime: Runtime) -> None:
        """Ask those models again whose upstream refused our key or their name: somebody may have mended that."""
        for model in runtime.pool.models.values():
            if model.breaker.cause == Misconfigured.reason:
                self._app.succession.changed(model, model.breaker.enable())


def brief(changed: Sequence[str], most: int) -> str:
    """The first `most` of the paths, and how many more there are."""
    rest = len(changed) - most
    return ", ".join([*changed[:most], f"{rest} more"] if rest > 0 else changed)
