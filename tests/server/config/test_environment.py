"""Names in the environment."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from fakes.config_file import ConfigFile
from penstockd.config import ConfigErrors, Secret, Settings, cautions, load


def loaded(environ: Mapping[str, str]) -> Settings:
    """The settings of the environment alone."""
    return load(path=None, environ=environ, flags={})


def mistakes(environ: Mapping[str, str]) -> list[str]:
    """What is wrong with it."""
    with pytest.raises(ConfigErrors) as raised:
        loaded(environ)
    return [str(error) for error in raised.value.errors]


def test_the_fixed_names_set_their_twins() -> None:
    """Seven names that every deployment knows, and ours."""
    settings = loaded(
        {
            "ENVIRONMENT": "development",
            "LLM_API_KEY": "sk-1",
            "LLM_MODEL": "m",
            "MAX_RETRIES": "0",
            "TIMEOUT_SECONDS": "2.5",
            "CACHE_ENABLED": "false",
            "LOG_LEVEL": "warning",
            "PENSTOCK_LISTEN": "[::1]:1",
            "PENSTOCK_ADMIN_LISTEN": "localhost:2",
            "PENSTOCK_STATE_DIR": "/s",
            "PENSTOCK_KEY_PEPPER": "a-pepper-of-some-length",
        }
    )

    assert (settings.models["llm"].api_key, settings.models["llm"].model) == (Secret("sk-1"), "m")
    assert (settings.retry.max_attempts, settings.server.default_timeout) == (1, 2.5)
    assert (settings.cache.enabled, settings.log.level) == (False, "WARNING")
    assert (str(settings.server.listen), str(settings.admin.listen)) == ("[::1]:1", "localhost:2")
    assert cautions(settings, 0.0) == ()


def test_an_empty_value_counts_as_unset() -> None:
    """As compose files and charts write it."""
    assert list(loaded({"LLM_API_KEY": "", "LLM_API_KEY_FILE": "", "PENSTOCK__LOG__LEVEL": ""}).models) == ["echo"]


def test_a_value_may_stand_in_a_file(tmp_path: Path) -> None:
    """As secrets are mounted; the line's end is not part of it."""
    (tmp_path / "key").write_text("sk-1\n", encoding="utf-8")

    assert loaded({"LLM_API_KEY_FILE": str(tmp_path / "key")}).models["llm"].api_key == Secret("sk-1")


def test_a_value_and_its_file_exclude_each_other(tmp_path: Path) -> None:
    """Nobody could tell which is meant."""
    environ = {"LLM_API_KEY": "a", "LLM_API_KEY_FILE": str(tmp_path)}

    assert mistakes(environ) == ["LLM_API_KEY: is set, and LLM_API_KEY_FILE too: set one of them"]


def test_a_file_that_cannot_be_read_is_a_mistake(tmp_path: Path) -> None:
    """The reason is said, with the name that gave the file."""
    (tmp_path / "latin").write_bytes(b"\xff")

    assert mistakes({"LLM_API_KEY_FILE": str(tmp_path), "REDIS_URL_FILE": str(tmp_path / "latin")}) == [
        f"LLM_API_KEY_FILE: cannot read {tmp_path}: Is a directory",
        f"REDIS_URL_FILE: cannot read {tmp_path}/latin: it is not UTF-8",
    ]


@pytest.mark.parametrize("text", ["", "\n", " \n\n"])
def test_an_empty_file_is_a_mistake(text: str, tmp_path: Path) -> None:
    """Whoever names it wants what is in it: half of a rotation is no reason to call the model without its key."""
    file = tmp_path / "key"
    file.write_text(text, encoding="utf-8")

    assert mistakes({"LLM_API_KEY_FILE": str(file)}) == [f"LLM_API_KEY_FILE: {file} is empty"]


def test_what_such_a_file_says_is_not_repeated(tmp_path: Path) -> None:
    """It may be the configuration itself, secrets and all, in several lines or in one."""
    lines, line, names_nothing = tmp_path / "lines", tmp_path / "line", tmp_path / "names_nothing"
    lines.write_text("key_pepper: hunter2\nlog: {}\n", encoding="utf-8")
    line.write_text("{key_pepper: hunter2}", encoding="utf-8")
    names_nothing.write_text("hunter2" * 1000, encoding="utf-8")

    assert mistakes({"PENSTOCK_CONFIG_FILE": str(lines)}) == [
        f'PENSTOCK_CONFIG_FILE: {lines} must have one line of plain text in it; did you mean "PENSTOCK_CONFIG"?'
    ]
    for file in (line, names_nothing):
        [mistake] = mistakes({"PENSTOCK_CONFIG_FILE": str(file)})
        assert mistake.partition("; ")[::2] == (
            "PENSTOCK_CONFIG_FILE: must name a file whose text is the path of one that can be read",
            'did you mean "PENSTOCK_CONFIG"?',
        )
    assert mistakes({"PENSTOCK_STATE_DIR_FILE": str(lines)}) == [
        f"PENSTOCK_STATE_DIR_FILE: {lines} must have one line of plain text in it"
    ]


@pytest.mark.parametrize("name", ["PENSTOCK_CONFIG", "LLM_API_KEY_FILE"])
def test_a_path_that_is_the_text_of_a_file_is_not_repeated(name: str) -> None:
    """As `$(cat penstock.yaml)` gives it."""
    assert mistakes({name: "key_pepper: hunter2\nlog: {}"}) == [
        f"{name}: cannot read a file whose name has several lines: No such file or directory"
    ]


def test_a_value_out_of_a_file_is_said_with_the_name_of_the_file(tmp_path: Path) -> None:
    """There is no variable of the shorter name."""
    (tmp_path / "level").write_text("loud", encoding="utf-8")
    (tmp_path / "retries").write_text("many", encoding="utf-8")

    assert mistakes({"LOG_LEVEL_FILE": str(tmp_path / "level"), "MAX_RETRIES_FILE": str(tmp_path / "retries")}) == [
        "MAX_RETRIES_FILE: must be a whole number: how often a call is repeated",
        "log.level: must be DEBUG or INFO or WARNING or ERROR or CRITICAL (from LOG_LEVEL_FILE)",
    ]


def test_the_configuration_may_be_named_by_a_file(config: ConfigFile, tmp_path: Path) -> None:
    """Its path, and what is wrong in it is said as ever."""
    config.path.write_text("log: {level: debug}", encoding="utf-8")
    (tmp_path / "path").write_text(f"{config.path}\n", encoding="utf-8")

    assert loaded({"PENSTOCK_CONFIG_FILE": str(tmp_path / "path")}).log.level == "DEBUG"


def test_any_setting_can_be_spelled_out(config: ConfigFile) -> None:
    """Its value is YAML, and what is already there is found whatever its case."""
    text = "models: {gpt-4.1: {provider: echo}, gpt_4: {provider: echo}}"
    environ = {
        "PENSTOCK__SERVER__MAX_IN_FLIGHT": "7",
        "PENSTOCK__MODELS__GPT_4_1__MAX_IN_FLIGHT": "8",
        "PENSTOCK__MODELS__GPT_4__MAX_IN_FLIGHT": "9",
        "PENSTOCK__MODELS__NEW": "{provider: echo, max_in_flight: 10}",
        "PENSTOCK__MODELS__NEW__MAX_IN_FLIGHT": "11",
        "PENSTOCK__AGENTS__A__CACHE": "off",
        "PENSTOCK__AGENTS__A__ROUTE": "{models: [new]}",
    }

    settings = config.load(text, environ)

    assert settings.server.max_in_flight == 7
    assert {name: model.max_in_flight for name, model in settings.models.items()} == {
        "gpt-4.1": 8,
        "gpt_4": 9,
        "new": 11,
    }
    assert settings.agents["a"].cache == "off"


def test_a_spelled_out_value_has_its_references_filled_in(config: ConfigFile) -> None:
    """As if it stood in the file; what cannot be filled in is said with the name it stands in."""
    environ = {"TEAM": "search", "PENSTOCK__AGENTS__A": "{description: 'of ${TEAM}', instructions: '$${TEAM}'}"}

    agent = config.load("{}", environ).agents["a"]

    assert (agent.description, agent.instructions) == ("of search", "${TEAM}")
    assert config.mistakes("{}", {"PENSTOCK__LOG__LEVEL": "${NOWHERE}", "PENSTOCK__SERVER": "{listen: '${NO}:1'}"}) == [
        "log.level: ${NOWHERE} is not set in the environment (from PENSTOCK__LOG__LEVEL)",
        "server.listen: ${NO} is not set in the environment (from PENSTOCK__SERVER)",
    ]


def test_a_spelled_out_setting_wins_over_its_short_name() -> None:
    """The longer name is the more deliberate one."""
    assert loaded({"LOG_LEVEL": "DEBUG", "PENSTOCK__LOG__LEVEL": "ERROR"}).log.level == "ERROR"


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("PENSTOCK_LISTN", 'PENSTOCK_LISTN: is no name that Penstock reads; did you mean "PENSTOCK_LISTEN"?'),
        ("PENSTOCK_LOG_LEVEL", 'PENSTOCK_LOG_LEVEL: is no name that Penstock reads; did you mean "LOG_LEVEL"?'),
        (
            "PENSTOCK__SERVR__TLS__CERT",
            'PENSTOCK__SERVR__TLS__CERT: no such setting; did you mean "PENSTOCK__SERVER__TLS__CERT"?',
        ),
        ("PENSTOCK__SERVR__X", "PENSTOCK__SERVR__X: no such setting"),
        (
            "PENSTOCK__SERVR__TLS__CRET",
            'PENSTOCK__SERVR__TLS__CRET: no such setting; did you mean "PENSTOCK__SERVER__TLS__CERT"?',
        ),
        ("PENSTOCK__LOG__LEVEL__X", "PENSTOCK__LOG__LEVEL__X: no such setting"),
        ("PENSTOCK__TENANTS__A__KEYS__0", "PENSTOCK__TENANTS__A__KEYS__0: no such setting"),
        ("PENSTOCK__", "PENSTOCK__: no such setting"),
    ],
)
def test_an_unknown_name_of_ours_is_a_mistake(name: str, line: str) -> None:
    """A typo does not pass in silence."""
    assert mistakes({name: "x"}) == [line]


@pytest.mark.parametrize(
    "name",
    [
        "PENSTOCK_TARGET",
        "PENSTOCK_API_KEY",
        "PENSTOCK_ADMIN",
        "PENSTOCK_ADMIN_TOKEN",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "PENSTOCK_SERVICE_HOST",
        "PENSTOCK_SERVICE_PORT_GRPC",
        "PENSTOCK_PORT",
        "PENSTOCK_PORT_50051_TCP_ADDR",
        "PENSTOCK_ADMIN_SERVICE_PORT",
    ],
)
def test_names_of_others_are_left_alone(name: str) -> None:
    """The client, OpenTelemetry and Kubernetes, which sets some beside a Service named penstock."""
    assert loaded({name: "x"}).environment == "development"


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("MAX_RETRIES", "-1", "MAX_RETRIES: must be a whole number: how often a call is repeated"),
        ("TIMEOUT_SECONDS", "30s", "TIMEOUT_SECONDS: must be a plain number of seconds, such as 30"),
        ("TIMEOUT_SECONDS", "0", "server.default_timeout: must be more than 0 (from TIMEOUT_SECONDS)"),
        (
            "PENSTOCK_STATE_DIR",
            "~/x",
            "PENSTOCK_STATE_DIR: must be spelled out: ~ is the name of a directory here; write ./~ for that",
        ),
        ("CACHE_ENABLED", "maybe", "cache.enabled: must be true or false (from CACHE_ENABLED)"),
        (
            "PENSTOCK__LOG",
            "{level: {a: b}}",
            "log.level: must be DEBUG or INFO or WARNING or ERROR or CRITICAL (from PENSTOCK__LOG)",
        ),
        (
            "PENSTOCK__ADMIN__LISTEN",
            "[::1]:1",
            "PENSTOCK__ADMIN__LISTEN: is not YAML (expected the node content, but found ':'); put text in quotes",
        ),
    ],
)
def test_a_bad_value_is_said_with_the_name_it_came_from(name: str, value: str, line: str) -> None:
    """Whoever set it knows where to look."""
    assert mistakes({name: value}) == [line]


def test_a_setting_below_what_is_no_map_does_not_hide_the_mistake(config: ConfigFile) -> None:
    """The file is wrong, whatever the environment adds."""
    assert config.mistakes("server: 5", {"PENSTOCK__SERVER__TLS__CERT": "x"}) == ["server: must be a map of settings"]
