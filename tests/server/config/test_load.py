"""Layers, defaults and what is served with little configuration."""

import os
from pathlib import Path

import pytest

from fakes.config_file import ConfigFile
from penstockd.config import ConfigErrors, RateSetting, Secret, TcpAddress, cautions, load

ECHO = "no model is configured: serving the built-in echo model; set LLM_API_KEY, or models in the file"


def test_with_nothing_set_the_daemon_serves_echo_and_says_so() -> None:
    """The first run needs nothing."""
    settings = load(path=None, environ={}, flags={})

    assert {name: model.provider for name, model in settings.models.items()} == {"echo": "echo"}
    assert settings.models["echo"].model == "echo"
    assert settings.agents["default"].route.names == ("echo",)
    assert settings.default_agent == "default"
    assert cautions(settings, 0.0) == (ECHO,)


def test_defaults_are_those_of_the_contract() -> None:
    """People rely on them."""
    settings = load(path=None, environ={}, flags={})

    assert (settings.environment, settings.allow_bare_models) == ("development", True)
    assert (settings.server.listen, settings.admin.listen) == (
        TcpAddress("127.0.0.1", 50051),
        TcpAddress("127.0.0.1", 9464),
    )
    assert (settings.server.default_timeout, settings.server.drain_delay, settings.server.reflection) == (30, 0, True)
    assert (settings.server.max_call.unary, settings.server.max_call.stream) == (120, 600)
    assert (settings.server.max_message_bytes, settings.cache.max_bytes) == (4 * 2**20, 256 * 2**20)
    assert (settings.retry.max_attempts, settings.retry.base_delay, settings.retry.max_delay) == (4, 0.2, 10)
    assert (settings.circuit_breaker.open_for, settings.circuit_breaker.max_open_for) == (5, 120)
    assert settings.ledger.retention == 400 * 86400


def test_beyond_development_defaults_are_careful() -> None:
    """Reflection and bare models are off, and a drain waits for those who look."""
    settings = load(path=None, environ={"ENVIRONMENT": "staging", "PENSTOCK__TENANTS": "{default: {}}"}, flags={})

    assert (settings.server.reflection, settings.allow_bare_models, settings.server.drain_delay) == (False, False, 5)


def test_command_line_wins_over_environment_over_file_over_defaults(config: ConfigFile) -> None:
    """Each layer is seen where those above it are silent."""
    text = "server: {listen: 'h:1', health_listen: 'h:1', max_in_flight: 1}\nadmin: {listen: 'localhost:1'}"
    environ = {"PENSTOCK_LISTEN": "h:2", "PENSTOCK__SERVER__HEALTH_LISTEN": "h:2"}

    settings = config.load(text, environ, server__listen="h:3", admin__listen=None)

    assert str(settings.server.listen) == "h:3"
    assert str(settings.server.health_listen) == "h:2"
    assert settings.server.max_in_flight == 1
    assert str(settings.admin.listen) == "localhost:1"
    assert settings.server.max_concurrent_streams == 1000


def test_the_file_may_be_named_by_the_environment(config: ConfigFile) -> None:
    """A container is configured without a command line."""
    config.path.write_text("log: {level: debug}", encoding="utf-8")

    settings = load(path=None, environ={"PENSTOCK_CONFIG": str(config.path)}, flags={})

    assert settings.log.level == "DEBUG"


def test_llm_is_added_by_the_environment() -> None:
    """A key is all that a first real model needs."""
    settings = load(path=None, environ={"LLM_API_KEY": "sk-1"}, flags={})

    model = settings.models["llm"]
    assert (model.provider, model.base_url, model.model) == ("openai", "https://api.openai.com/v1", "gpt-4")
    assert model.api_key == Secret("sk-1")
    assert settings.agents["default"].route.names == ("llm",)
    assert cautions(settings, 0.0) == ()


def test_a_local_server_needs_no_key() -> None:
    """A base URL alone describes a model too."""
    settings = load(path=None, environ={"LLM_BASE_URL": "http://127.0.0.1:1/v1/", "LLM_MODEL": "4"}, flags={})

    assert settings.models["llm"].base_url == "http://127.0.0.1:1/v1"
    assert settings.models["llm"].model == "4"


def test_the_default_agent_asks_llm_beside_the_models_of_the_file(config: ConfigFile) -> None:
    """What the environment names is meant."""
    settings = config.load("models: {a: {provider: echo}}", {"LLM_API_KEY": "sk-1"})

    assert list(settings.models) == ["a", "llm"]
    assert settings.agents["default"].route.names == ("llm",)


def test_the_environment_completes_the_llm_of_the_file(config: ConfigFile) -> None:
    """Defaults of another provider do not creep in."""
    settings = config.load("models: {llm: {provider: anthropic, model: m}}", {"LLM_API_KEY": "sk-1", "LLM_MODEL": "n"})

    assert (settings.models["llm"].provider, settings.models["llm"].base_url) == ("anthropic", None)
    assert settings.models["llm"].model == "n"


@pytest.mark.parametrize(
    "environ",
    [
        {"PENSTOCK__MODELS__LLM": "{provider: openai, base_url: 'http://h'}"},
        {"PENSTOCK__MODELS": "{llm: {provider: openai, base_url: 'http://h', model: n}}"},
        {"PENSTOCK__MODELS__LLM__PROVIDER": "openai", "PENSTOCK__MODELS__LLM__BASE_URL": "http://h"},
    ],
)
def test_an_llm_that_is_spelled_out_is_completed_too(environ: dict[str, str]) -> None:
    """By its name's short form, over which what is spelled out wins."""
    settings = load(path=None, environ={**environ, "LLM_MODEL": "m"}, flags={})

    assert (settings.models["llm"].base_url, cautions(settings, 0.0)) == ("http://h", ())
    assert settings.models["llm"].model == ("n" if "PENSTOCK__MODELS" in environ else "m")


@pytest.mark.parametrize(
    ("text", "environ"),
    [
        ("{}", {"PENSTOCK__MODELS__LLM": "{max_in_flight: 7}"}),
        ("{}", {"PENSTOCK__MODELS__LLM__MAX_IN_FLIGHT": "7"}),
        ("models: {llm: {max_in_flight: 7}}", {}),
    ],
)
def test_the_llm_of_the_environment_is_completed_by_others(
    config: ConfigFile, text: str, environ: dict[str, str]
) -> None:
    """As long as they do not say whose model it is."""
    model = config.load(text, {**environ, "LLM_API_KEY": "sk-1"}).models["llm"]

    assert (model.provider, model.model, model.max_in_flight) == ("openai", "gpt-4", 7)


def test_the_defaults_of_llm_give_way_to_the_file(config: ConfigFile) -> None:
    """It may say everything but whose model it is."""
    model = config.load("models: {llm: {model: m, base_url: 'http://h'}}", {"LLM_API_KEY": "sk-1"}).models["llm"]

    assert (model.provider, model.model, model.base_url) == ("openai", "m", "http://h")


def test_a_model_name_alone_adds_no_model() -> None:
    """Nothing is called without a key or an address, and somebody should know."""
    settings = load(path=None, environ={"LLM_MODEL": "gpt-4"}, flags={})

    assert list(settings.models) == ["echo"]
    assert cautions(settings, 0.0) == ("LLM_MODEL: has no effect without LLM_API_KEY or LLM_BASE_URL", ECHO)


def test_models_without_agents_are_asked_in_the_order_of_the_file(config: ConfigFile) -> None:
    """The first is preferred."""
    settings = config.load("models: {b: {provider: echo}, a: {provider: echo}}")

    assert settings.agents["default"].route.names == ("b", "a")
    assert settings.agents["default"].route.strategy == "priority"


def test_an_agent_without_a_route_asks_the_only_model(config: ConfigFile) -> None:
    """There is nothing to choose, and the only agent is the default one."""
    settings = config.load("models: {m: {provider: echo}}\nagents: {support: {instructions: Help.}}")

    assert settings.agents["support"].route.names == ("m",)
    assert settings.default_agent == "support"


def test_a_named_route_is_resolved(config: ConfigFile) -> None:
    """Agents share what is written once."""
    settings = config.load("""
        models: {a: {provider: echo}, b: {provider: echo}}
        routes: {cheap: {strategy: weighted, models: {a: 3, b: 0.5}}}
        agents: {x: {route: cheap}}
    """)

    assert settings.agents["x"].route == settings.routes["cheap"]
    assert settings.agents["x"].route.weights == {"a": 3, "b": 0.5}
    assert settings.routes["cheap"].names == ("a", "b")


def test_models_of_a_list_weigh_the_same(config: ConfigFile) -> None:
    """Whoever asks for weights gets some."""
    settings = config.load("models: {a: {provider: echo}, b: {provider: echo}}")

    assert settings.agents["default"].route.weights == {"a": 1, "b": 1}


def test_a_model_is_read_whole(config: ConfigFile) -> None:
    """Every unit ends where the code counts in it."""
    (config.path.parent / "ca.pem").write_text("", encoding="utf-8")
    settings = config.load("""
        models:
          m:
            provider: my_models.fast:Model
            base_url: https://llm.internal/v1
            price: {input: 0.15, output: 0.60, cached_input: 0.075}
            timeouts: {connect: 500ms}
            limits: {requests: 500/m}
            headers: {X-Team: search}
            ca: ca.pem
            proxy: http://u:p@proxy:3128
            max_tokens_field: max_completion_tokens
    """)

    model = settings.models["m"]
    assert model.price is not None
    assert (model.price.input, model.price.output) == (150_000_000, 600_000_000)
    assert (model.price.cached_input, model.price.cache_write) == (75_000_000, 150_000_000)
    assert (model.timeouts.connect, model.timeouts.total) == (0.5, 120)
    assert model.limits.requests == RateSetting(500, 60)
    assert model.headers == {"X-Team": Secret("search")}
    assert model.ca == config.path.parent / "ca.pem"
    assert str(model.proxy) == "http://***@proxy:3128"


def test_a_secret_may_stand_in_a_file_beside_the_configuration(config: ConfigFile) -> None:
    """Relative to the configuration, whoever reads it from where."""
    (config.path.parent / "key").write_text("sk-1\n", encoding="utf-8")

    settings = config.load("models: {m: {provider: openai, model: m, api_key: {file: key}}}")

    assert settings.models["m"].api_key == Secret("sk-1")


def test_references_are_filled_in_and_can_be_escaped(config: ConfigFile) -> None:
    """In every text, also within one and in a number's place; only once."""
    text = """
        models: {m: {provider: echo, max_in_flight: "${N}", headers: {a: "x-${KEY}"}}}
        agents: {a: {instructions: "$${KEY} $KEY $$${KEY} ${TWICE}", parameters: {stop: ["${KEY}"]}}}
    """

    settings = config.load(text, {"N": "7", "KEY": "k", "TWICE": "${KEY}"})

    assert settings.models["m"].max_in_flight == 7
    assert settings.models["m"].headers["a"].reveal() == "x-k"
    assert settings.agents["a"].instructions == "${KEY} $KEY $${KEY} ${KEY}"
    assert settings.agents["a"].parameters.stop == ("k",)


def test_names_without_a_value_count_as_not_given(config: ConfigFile) -> None:
    """A file may keep its headings."""
    settings = config.load("""
        models:
        server:
          listen:
          tls:
        tenants:
          default:
        cache: {enabled: }
        agents: {a: {cache: , route: {models: [echo], strategy: }}, b: }
        default_agent: a
    """)

    assert settings.server.listen == TcpAddress("127.0.0.1", 50051)
    assert list(settings.tenants) == ["default"]
    assert list(settings.agents) == ["a", "b"]


def test_an_empty_file_says_nothing(config: ConfigFile) -> None:
    """As if there were none."""
    assert cautions(config.load(""), 0.0) == (ECHO,)


@pytest.mark.parametrize(
    ("environ", "directory"),
    [
        ({"XDG_STATE_HOME": "/x", "HOME": "/h"}, "/x/penstock"),
        ({"XDG_STATE_HOME": "x", "HOME": "/h"}, "/h/.local/state/penstock"),
        ({}, "/var/lib/penstock"),
        ({"PENSTOCK_STATE_DIR": "/s"}, "/s"),
    ],
)
def test_state_lives_where_the_system_says(environ: dict[str, str], directory: str) -> None:
    """By the XDG base directory specification."""
    assert load(path=None, environ=environ, flags={}).state_dir == Path(directory)


def test_relative_paths_of_the_file_start_at_it_and_others_here(config: ConfigFile) -> None:
    """Each where whoever wrote it stands."""
    text = "state_dir: s\nserver: {listen: 'unix:a'}"

    of_the_file = config.load(text)
    of_the_environment = config.load(text, {"PENSTOCK_STATE_DIR": "t", "PENSTOCK_LISTEN": "unix:b"})
    of_the_command_line = config.load(text, server__listen="unix:c")

    assert of_the_file.state_dir == config.path.parent / "s"
    assert str(of_the_file.server.listen) == f"unix:{config.path.parent}/a"
    assert of_the_environment.state_dir == Path.cwd() / "t"
    assert str(of_the_environment.server.listen) == f"unix:{Path.cwd()}/b"
    assert str(of_the_command_line.server.listen) == f"unix:{Path.cwd()}/c"


def test_plaintext_beyond_this_machine_is_said(config: ConfigFile) -> None:
    """Allowed in development, and worth a word."""
    settings = config.load("models: {m: {provider: echo}}\nserver: {listen: 'h:1'}")

    assert cautions(settings, 0.0) == ("server.listen: h:1 takes calls in plaintext from beyond this machine",)


def test_settings_cannot_be_changed() -> None:
    """A reload makes new ones."""
    settings = load(path=None, environ={}, flags={})

    with pytest.raises(ValueError, match="frozen"):
        settings.environment = "production"


def test_the_process_environment_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is passed in is all there is."""
    monkeypatch.setitem(os.environ, "LLM_API_KEY", "sk-1")

    assert list(load(path=None, environ={}, flags={}).models) == ["echo"]


def test_a_missing_file_is_said_with_its_reason(tmp_path: Path) -> None:
    """One clear line, which begins with where it was named."""
    path = tmp_path / "nowhere.yaml"
    with pytest.raises(ConfigErrors) as by_the_command_line:
        load(path=path, environ={}, flags={})
    with pytest.raises(ConfigErrors) as by_the_environment:
        load(path=None, environ={"PENSTOCK_CONFIG": str(path)}, flags={})

    assert str(by_the_command_line.value) == f"--config: cannot read {path}: No such file or directory"
    assert str(by_the_environment.value) == f"PENSTOCK_CONFIG: cannot read {path}: No such file or directory"
