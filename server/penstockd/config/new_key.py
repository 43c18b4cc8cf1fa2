"""Makes keys for callers."""

from collections.abc import Mapping

from penstockd import api_key
from penstockd.config.environment import Environment
from penstockd.config.errors import ConfigError, ConfigErrors, Mistake
from penstockd.config.names import spelled

_PEPPER = "PENSTOCK_KEY_PEPPER"


def new_key(name: str, environ: Mapping[str, str]) -> tuple[str, str]:
    """Return a new key, and the line that lets it in; raises ConfigErrors without a pepper to digest it with."""
    environment = Environment(environ)
    errors = [error for error in environment.errors if error.path == _PEPPER]
    pepper = environment.get(_PEPPER)
    if pepper is None and not errors:
        errors.append(ConfigError(_PEPPER, "must be set, as it is for the daemon: keys are stored as digests under it"))
    try:
        spelled(name)
    except Mistake as mistake:
        errors.append(ConfigError("--name", mistake.message, mistake.suggestion))
    if pepper is None or errors:
        raise ConfigErrors(errors)
    key = api_key.generate()
    return key, f'- {{name: {name}, hash: "{api_key.digest(pepper, key)}"}}'
