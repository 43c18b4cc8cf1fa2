"""Makes keys for callers."""

from collections.abc import Mapping
from dataclasses import dataclass

from penstockd import api_key
from penstockd.config.environment import Environment
from penstockd.config.errors import ConfigError, ConfigErrors, Mistake
from penstockd.config.names import spelled
from penstockd.config.pepper import VARIABLE, weakness


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key, and the line of the configuration that lets it in; `warnings` are what people should be told."""

    key: str
    line: str
    warnings: tuple[str, ...]


def new_key(name: str, environ: Mapping[str, str]) -> NewKey:
    """Return a new key; raises ConfigErrors without a pepper that the daemon takes too."""
    environment = Environment(environ)
    errors = [error for error in environment.errors if error.path in (VARIABLE, f"{VARIABLE}_FILE")]
    pepper = environment.get(VARIABLE)
    if pepper is None and not errors:
        errors.append(
            ConfigError(VARIABLE, "must be set, as it is for the daemon: keys are stored as digests under it")
        )
    if pepper is not None and not pepper.isprintable():
        errors.append(ConfigError(VARIABLE, "must be one line of text, or the daemon does not take it"))
    try:
        spelled(name)
    except Mistake as mistake:
        errors.append(ConfigError("--name", mistake.message, mistake.suggestion))
    if pepper is None or errors:
        raise ConfigErrors(errors)
    key = api_key.generate()
    line = f'- {{name: {name}, hash: "{api_key.digest(pepper, key)}"}}'
    return NewKey(key, line, tuple(weakness(pepper, VARIABLE)))
