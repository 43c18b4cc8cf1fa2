"""A configuration file that says secrets is for those who may know them."""

import os
from pathlib import Path

import pytest

from fakes.config_file import ConfigFile
from penstockd.config import cautions, load

PEPPER = "a-pepper-of-some-length"
MODEL = "models: {m: {provider: openai, base_url: 'http://h', model: m%s}}\n"
TENANTS = "tenants: {a: {sans: [a.svc]}}\nserver: {tls: {cert: /dev/null, key: /dev/null, client_ca: /dev/null}}\n"


def warned(config: ConfigFile, text: str, *, mode: int = 0o644, environment: str = "staging") -> tuple[str, ...]:
    """What people are told of a file of this mode."""
    config.path.touch()
    config.path.chmod(mode)
    environ = {"KEY": PEPPER, "PENSTOCK_STATE_DIR": "/s", "ENVIRONMENT": environment}
    return cautions(config.load(text + TENANTS, environ), 0.0)


@pytest.mark.parametrize("environment", ["staging", "production"])
@pytest.mark.parametrize(
    ("text", "paths"),
    [
        (MODEL % ", api_key: hunter2", "models.m.api_key"),
        (MODEL % ", headers: {authorization: hunter2}", "models.m.headers.authorization"),
        (MODEL % ", proxy: 'http://u:hunter2@h'", "models.m.proxy"),
        (MODEL % ", api_key: '$${KEY}'", "models.m.api_key"),
        (
            MODEL % ", api_key: hunter2" + f"admin: {{token: hunter2}}\nkey_pepper: {PEPPER}\n",
            "models.m.api_key, key_pepper, admin.token",
        ),
    ],
)
def test_a_file_that_shows_its_secrets_to_everybody_is_told_of(
    config: ConfigFile, text: str, paths: str, environment: str
) -> None:
    """Once, with all of them and none of their values; it is taken all the same, as it has been."""
    [line] = warned(config, text, environment=environment)

    assert line == (
        f"{config.path} can be read by every user of this machine, and so can what it says of {paths}: chmod o-r it, "
        "or move each secret to a file of its own, {file: PATH}"
    )


@pytest.mark.parametrize(
    "text",
    [
        MODEL % "",
        MODEL % ", api_key: '${KEY}', headers: {authorization: 'Bearer ${KEY}'}" + "key_pepper: ${KEY}\n",
        MODEL % ", api_key: {file: key}",
        MODEL % ", proxy: 'http://h:3128'",
        MODEL % "" + "database_url: 'sqlite:///ledger.db'\n",
    ],
)
def test_a_file_that_says_where_its_secrets_are_may_be_read(config: ConfigFile, text: str) -> None:
    """Nor is a URL without credentials one."""
    key = config.path.with_name("key")
    key.write_text("hunter2", encoding="utf-8")
    key.chmod(0o600)

    assert warned(config, text) == ()


def test_a_developer_is_alone_on_the_machine(config: ConfigFile) -> None:
    """And may keep a key where it is at hand."""
    assert warned(config, MODEL % ", api_key: hunter2", environment="development") == ()


@pytest.mark.parametrize("mode", [0o600, 0o640])
def test_a_file_that_is_for_few_may_say_what_it_likes(config: ConfigFile, mode: int) -> None:
    """Its group is of the operator's choice."""
    assert warned(config, MODEL % ", api_key: hunter2", mode=mode) == ()


def test_a_secret_of_the_environment_does_not_stand_in_the_file(config: ConfigFile) -> None:
    """Whatever else the file says of it."""
    config.path.touch()
    config.path.chmod(0o644)
    environ = {"PENSTOCK__MODELS__M__API_KEY": "hunter2", "LLM_API_KEY": "hunter2", "PENSTOCK_STATE_DIR": "/s"}

    assert cautions(config.load(MODEL % "" + TENANTS, {**environ, "ENVIRONMENT": "staging"}), 0.0) == ()


def test_a_pipe_is_read_by_us_alone() -> None:
    """As a shell makes one of what a program prints."""
    reader, writer = os.pipe()
    os.write(writer, (MODEL % ", api_key: hunter2" + TENANTS).encode())
    os.close(writer)

    environ = {"ENVIRONMENT": "staging", "PENSTOCK_STATE_DIR": "/s"}
    settings = load(path=Path(f"/dev/fd/{reader}"), environ=environ, flags={})
    os.close(reader)

    assert cautions(settings, 0.0) == ()
