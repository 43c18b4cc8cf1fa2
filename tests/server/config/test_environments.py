"""Staging and production are strict."""

import pytest

from fakes.config_file import ConfigFile

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
    assert settings.warnings == ()


@pytest.mark.parametrize(
    "guard", ["admin: {listen: 'h:1', token: t}", "admin: {listen: 'h:1'}\nserver: {insecure: true}"]
)
def test_the_admin_port_may_listen_everywhere_with_a_token(config: ConfigFile, guard: str) -> None:
    """Or where it is spelled out that nobody minds."""
    assert str(config.load(guard).admin.listen) == "h:1"


def test_mistakes_elsewhere_do_not_hide_these(config: ConfigFile) -> None:
    """All at once means all."""
    lines = config.mistakes("lag: {}\nserver: {listen: 'h:1'}\nadmin: {listen: 'h:2'}", {"ENVIRONMENT": "production"})

    assert [line.partition(":")[0] for line in lines] == ["admin.listen", "lag", "models", "server.listen", "tenants"]
