"""Where two configurations differ is named by the paths of the file."""

import pytest

from fakes.config_file import ConfigFile
from penstockd.config import differences

BASE = """
models:
  a: {provider: openai, base_url: "http://127.0.0.1:1/v1", model: m, api_key: a-secret, timeouts: {idle: 15s}}
agents: {default: {route: {models: [a]}}}
tenants:
  acme: {limits: [{per: tenant, requests: 600/m}]}
"""


@pytest.mark.parametrize(
    ("old", "new", "paths"),
    [
        ("idle: 15s", "idle: 15000ms", []),
        ("idle: 15s", "idle: 9s", ["models.a.timeouts.idle"]),
        ("a-secret", "another", ["models.a.api_key"]),
        ("600/m", "700/m", ["tenants.acme.limits"]),
        ("acme:", "globex:", ["tenants.globex", "tenants.acme"]),
        ("agents:", "retry: {max_attempts: 2}\nagents:", ["retry.max_attempts"]),
        ("agents:", 'server: {health_listen: "127.0.0.1:9"}\nagents:', ["server.health_listen"]),
    ],
)
def test_what_differs_is_named(config: ConfigFile, old: str, new: str, paths: list[str]) -> None:
    """Settings by their own path, what is new or gone as a whole; what only reads otherwise is the same."""
    before, after = config.load(BASE), config.load(BASE.replace(old, new))

    assert list(differences(before, after)) == paths
