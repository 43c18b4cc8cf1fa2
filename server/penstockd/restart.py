"""Which changed settings a reload cannot apply."""

from collections.abc import Collection

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


def needing_restart(changed: Collection[str]) -> list[str]:
    """Which of the settings that `changed`, by their paths, take a restart."""
    return [path for path in NEEDS_RESTART if any(f"{each}.".startswith(f"{path}.") for each in changed)]
