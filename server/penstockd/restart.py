"""Which changed settings a reload cannot apply."""

from penstockd.config import Settings

NEEDS_RESTART = (
    "server.listen",
    "server.health_listen",
    "server.tls",
    "server.reflection",
    "server.max_message_bytes",
    "server.max_concurrent_streams",
    "server.drain_delay",
    "server.drain_timeout",
    "admin",
    "log.format",
    "state_dir",
    "ledger",
    "database_url",
    "redis_url",
)
"""Listeners and stores: a reload leaves them as they are."""


def needing_restart(before: Settings, after: Settings) -> list[str]:
    """The paths of settings that differ and take a restart to change."""
    return [path for path in NEEDS_RESTART if _setting(before, path) != _setting(after, path)]


def _setting(settings: Settings, path: str) -> object:
    value: object = settings
    for name in path.split("."):
        value = getattr(value, name)
    return value
