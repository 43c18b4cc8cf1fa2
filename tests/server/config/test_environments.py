"""Staging and production are strict."""

import pytest

from fakes.config_file import ConfigFile
from penstockd.config import cautions

MODEL = "models: {m: {provider: openai, base_url: 'http://h', model: m}}\n"
TENANTS = "tenants: {default: {}}\n"


@pytest.mark.parametrize("environment", ["staging", "production"])
def test_callers_must_be_described(config: ConfigFile, environment: str) -> None:
    """Nobody is served by accident."""
    assert config.mistakes(MODEL, {"ENVIRONMENT": environment}) == [f"tenants: required in {environment}"]


def test_production_refuses_echo_alone(config: ConfigFile) -> None:
    """Somebody forgot the model."""
    [line] = config.mistakes(TENANTS, {"ENVIRONMENT": "production"})

    assert line.startswith("models: production needs a model other than echo")


@pytest.mark.parametrize("environment", ["staging", "production"])
def test_plaintext_beyond_loopback_is_refused(config: ConfigFile, environment: str) -> None:
    """Unless it is spelled out."""
    text = MODEL + TENANTS + "server: {listen: '0.0.0.0:1'%s}"

    [line] = config.mistakes(text % "", {"ENVIRONMENT": environment})
    settings = config.load(text % ", insecure: true", {"ENVIRONMENT": environment})

    assert line.startswith(f"server.listen: plaintext beyond loopback is refused in {environment}")
    assert settings.server.is_exposed


def test_tls_may_listen_everywhere(config: ConfigFile) -> None:
    """The health port beside it stays plaintext."""
    tls = "server: {listen: '0.0.0.0:1', health_listen: '0.0.0.0:2', tls: {cert: /dev/null, key: /dev/null}}"

    settings = config.load(MODEL + TENANTS + tls, {"ENVIRONMENT": "production"})

    assert not settings.server.is_exposed
    assert [warning for warning in cautions(settings, 0.0) if warning.startswith("server.")] == []


@pytest.mark.parametrize("environment", ["development", "staging", "production"])
@pytest.mark.parametrize("insecure", ["", "\nserver: {insecure: true}"])
def test_the_admin_port_listens_beyond_loopback_with_a_token_alone(
    config: ConfigFile, environment: str, insecure: str
) -> None:
    """In any environment: callers in plaintext are no reason to show strangers who calls, and for how much."""
    text = MODEL + TENANTS + "admin: {listen: 'h:1'%s}" + insecure

    [line] = config.mistakes(text % "", {"ENVIRONMENT": environment})
    settings = config.load(text % ", token: t", {"ENVIRONMENT": environment})

    assert line == "admin.listen: beyond loopback admin.token is required, in any environment"
    assert str(settings.admin.listen) == "h:1"


def test_mistakes_elsewhere_do_not_hide_these(config: ConfigFile) -> None:
    """All at once means all."""
    lines = config.mistakes("lag: {}\nserver: {listen: 'h:1'}\nadmin: {listen: 'h:2'}", {"ENVIRONMENT": "production"})

    assert [line.partition(":")[0] for line in lines] == ["admin.listen", "lag", "models", "server.listen", "tenants"]
