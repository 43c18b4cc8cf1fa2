"""The effective configuration can be shown."""

from fakes.config_file import ConfigFile
from penstockd.config import describe

FULL = """
    environment: staging
    default_agent: support
    models:
      fast:
        provider: openai
        base_url: http://h/v1
        model: m
        price: {input: 0.15, cached_input: 0.0000001, output: 3}
        timeouts: {connect: 250ms}
        limits: {requests: 500/m}
      other: {provider: echo}
    routes: {both: {strategy: weighted, models: {fast: 3, other: 0.5}}}
    agents:
      support: {instructions: "Say $${X} and 'no': ü", route: both, cache: off, parameters: {stop: [a, "off"]}}
      other: {python: "a.b:c", route: {models: [fast, other]}}
    tenants: {default: {}}
    server: {listen: "[::1]:1", drain_delay: 90s, max_message_bytes: 5MiB, tls: {cert: /dev/null, key: /dev/null}}
"""


def test_what_is_shown_loads_as_the_same_settings(config: ConfigFile) -> None:
    """Units, escapes and quotes included."""
    settings = config.load(FULL)

    again = config.load(describe(settings))

    assert dict(again) == dict(settings)


def test_secrets_are_masked(config: ConfigFile) -> None:
    """All of them, and the file still loads."""
    settings = config.load("""
        models:
          m: {provider: openai, model: m, api_key: hunter2, headers: {a: hunter2}, proxy: "http://u:hunter2@h:1"}
        admin: {token: hunter2}
    """)

    shown = describe(settings)

    assert "hunter2" not in shown
    assert config.load(shown).models["m"].model == "m"


def test_what_is_written_once_in_memory_is_written_out(config: ConfigFile) -> None:
    """No anchors for people to follow."""
    shown = describe(config.load(FULL))

    assert "&id" not in shown
    assert "drain_delay: 90s" in shown
    assert "max_message_bytes: 5MiB" in shown
