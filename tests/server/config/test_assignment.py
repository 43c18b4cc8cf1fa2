"""What the environment says is laid over what the file says."""

import pytest

from fakes.config_file import ConfigFile
from penstockd.config import Secret

AGENTS = """
    models: {fast: {provider: echo}, strong: {provider: echo}}
    routes: {cheap: {models: [fast, strong]}}
    agents: {a: {instructions: x, route: cheap, cache: off}}
"""


def test_a_section_leaves_alone_what_it_does_not_say(config: ConfigFile) -> None:
    """Neither the file's settings nor those of other names are lost."""
    text = "server: {listen: 'h:1', health_listen: 'h:1', max_call: {unary: 9s}, max_in_flight: 1}"
    environ = {
        "PENSTOCK_LISTEN": "h:2",
        "TIMEOUT_SECONDS": "5",
        "PENSTOCK__SERVER": "{max_in_flight: 7, max_call: {stream: 8s}}",
        "PENSTOCK__SERVER__MAX_CALL": "{}",
    }

    server = config.load(text, environ).server

    assert (str(server.listen), str(server.health_listen)) == ("h:2", "h:1")
    assert (server.default_timeout, server.max_in_flight) == (5, 7)
    assert (server.max_call.unary, server.max_call.stream) == (9, 8)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PENSTOCK__MODELS", "{a: {provider: openai, base_url: 'http://new/v1', model: m}}"),
        ("PENSTOCK__MODELS__A", "{provider: openai, base_url: 'http://new/v1', model: m}"),
    ],
)
def test_a_map_for_a_model_replaces_it(config: ConfigFile, name: str, value: str) -> None:
    """No key, header or price of the old host goes to a new one."""
    text = """
        models:
          a: {provider: openai, base_url: http://o, api_key: k, headers: {x: y}, model: n, price: {input: 1, output: 1}}
    """

    model = config.load(text, {name: value}).models["a"]

    assert model.base_url == "http://new/v1"
    assert (model.api_key, model.headers, model.price) == (None, {}, None)


def test_a_map_for_a_part_of_a_model_replaces_that(config: ConfigFile) -> None:
    """What a new price or another limit does not say is not that of the old one."""
    text = """
        models:
          a: {provider: echo, price: {input: 3, cached_input: 0.3, output: 9}, limits: {requests: 1/s}, headers: {x: y}}
    """
    environ = {
        "PENSTOCK__MODELS__A__PRICE": "{input: 0.1, output: 0.6}",
        "PENSTOCK__MODELS__A__LIMITS": "{tokens: 9/m}",
        "PENSTOCK__MODELS__A__HEADERS": "{a: b}",
        "PENSTOCK__MODELS__A__MODEL": "m",
    }

    model = config.load(text, environ).models["a"].model_dump(exclude_none=True)

    assert model["price"]["cached_input"] == 0.1
    assert (model["limits"], list(model["headers"]), model["model"]) == ({"tokens": "9/m"}, ["a"], "m")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PENSTOCK__AGENTS", "{a: {python: 'b:c', route: {models: [strong]}}}"),
        ("PENSTOCK__AGENTS__A", "{python: 'b:c', route: {models: [strong]}}"),
        ("PENSTOCK__AGENTS__A__ROUTE", "{models: [strong]}"),
        ("PENSTOCK__ROUTES", "{cheap: {models: [strong]}}"),
        ("PENSTOCK__ROUTES__CHEAP", "{models: [strong]}"),
    ],
)
def test_a_map_for_an_agent_or_a_route_replaces_it(config: ConfigFile, name: str, value: str) -> None:
    """One kind of either stands where another stood."""
    text = AGENTS.replace("{models: [fast, strong]}", "{strategy: weighted, models: {fast: 3, strong: 1}}")

    route = config.load(text, {name: value}).agents["a"].route

    assert (route.strategy, route.names) == ("priority", ("strong",))


@pytest.mark.parametrize("value", ["{}", "null", "{other: {}}"])
def test_a_map_of_tenants_replaces_all(config: ConfigFile, value: str) -> None:
    """Whoever is not in it may not call."""
    tenants = config.load(
        "tenants: {acme: {limits: [{per: user, requests: 1/s}]}}", {"PENSTOCK__TENANTS": value}
    ).tenants

    assert "acme" not in tenants


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PENSTOCK__MODELS__LLM", "{price: {input: 1, output: 2}}"),
        ("PENSTOCK__MODELS", "{llm: {price: {input: 1, output: 2}}}"),
    ],
)
def test_a_map_for_the_llm_leaves_it_what_the_fixed_names_say(config: ConfigFile, name: str, value: str) -> None:
    """These and the map are of one mind."""
    llm = config.load("{}", {"LLM_API_KEY": "k", "LLM_MODEL": "m", name: value}).models["llm"]

    assert (llm.api_key, llm.model, llm.provider) == (Secret("k"), "m", "openai")
    assert llm.price is not None


def test_a_map_wins_over_the_fixed_names(config: ConfigFile) -> None:
    """As the longer name that it has is the more deliberate one."""
    environ = {
        "LLM_API_KEY": "k",
        "LOG_LEVEL": "debug",
        "PENSTOCK__MODELS__LLM": "{provider: openai, model: m, api_key: other}",
        "PENSTOCK__LOG": "{level: error}",
    }

    settings = config.load("{}", environ)

    assert (settings.models["llm"].api_key, settings.log.level) == (Secret("other"), "ERROR")


@pytest.mark.parametrize("short", ["off", "OFF", "false"])
@pytest.mark.parametrize(
    ("name", "value"), [("PENSTOCK__AGENTS__A__CACHE__TTL", "5m"), ("PENSTOCK__AGENTS__A__CACHE", "{ttl: 5m}")]
)
def test_a_setting_wins_over_the_short_form_above_it(config: ConfigFile, short: str, name: str, value: str) -> None:
    """The environment is not ignored because the file says it shortly."""
    cache = config.load(AGENTS.replace("off", short), {name: value}).agents["a"].cache

    assert cache != "off"
    assert cache is not None
    assert cache.ttl == 300


@pytest.mark.parametrize(
    ("name", "value", "models", "strategy"),
    [
        ("PENSTOCK__AGENTS__A__ROUTE__MODELS", "[strong]", ("strong",), "priority"),
        ("PENSTOCK__AGENTS__A__ROUTE__STRATEGY", "least_latency", ("fast", "strong"), "least_latency"),
        ("PENSTOCK__AGENTS__A__ROUTE", "{models: [strong]}", ("strong",), "priority"),
    ],
)
def test_a_part_of_a_named_route_wins_over_that_part(
    config: ConfigFile, name: str, value: str, models: tuple[str, ...], strategy: str
) -> None:
    """The rest is as the route of that name has it, which stays as it is for others."""
    settings = config.load(AGENTS, {name: value})

    assert (settings.agents["a"].route.names, settings.agents["a"].route.strategy) == (models, strategy)
    assert (settings.routes["cheap"].names, settings.routes["cheap"].strategy) == (("fast", "strong"), "priority")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("agents: {a: {cache: on}}", "agents.a.cache: must be off, or a map such as {ttl: 10m}"),
        ("agents: {a: {cache: off, route: nowhere}}", 'agents.a.route: there is no route "nowhere"'),
        ("agents: 5", "agents: must be a map"),
    ],
)
def test_what_is_no_short_form_stays_a_mistake(config: ConfigFile, text: str, line: str) -> None:
    """The file is wrong, whatever the environment adds."""
    environ = {"PENSTOCK__AGENTS__A__CACHE__TTL": "5m", "PENSTOCK__AGENTS__A__ROUTE__STRATEGY": "priority"}

    assert line in config.mistakes(text, environ)


def test_a_mistake_is_said_with_the_name_that_made_it(config: ConfigFile) -> None:
    """The last one, also where a map leaves out what the file has; none where the file made it beside such a map."""
    text = """
        models: {m: {provider: echo}}
        server: {listen: x, health_listen: x, max_in_flight: 0}
        log: {levl: info}
        tenants: {a: {keys: []}}
    """
    environ = {
        "PENSTOCK__SERVER": "{health_listen: y, lisen: z, max_concurrent_streams: 0}",
        "PENSTOCK__SERVER__MAX_CONCURRENT_STREAMS": "1",
        "PENSTOCK__TENANTS": "{a: {keys: {}}}",
        "PENSTOCK__LOG": "{format: auto}",
        "PENSTOCK__MODELS__M": "{max_in_flight: 7}",
    }
    too_few = "must be at least 2: an AgentClient's health watch takes one for good"

    assert config.mistakes(text, environ) == [
        'log.levl: unknown setting; did you mean "level"?',
        "models.m.provider: required (from PENSTOCK__MODELS__M)",
        "server.health_listen: must be HOST:PORT, [IPV6]:PORT or unix:PATH (from PENSTOCK__SERVER)",
        'server.lisen: unknown setting (from PENSTOCK__SERVER); did you mean "listen"?',
        "server.listen: must be HOST:PORT, [IPV6]:PORT or unix:PATH",
        f"server.max_concurrent_streams: {too_few} (from PENSTOCK__SERVER__MAX_CONCURRENT_STREAMS)",
        "server.max_in_flight: must be at least 1",
        "tenants.a.keys: must be a list (from PENSTOCK__TENANTS)",
    ]


def test_mistakes_of_the_file_are_not_the_keys(config: ConfigFile) -> None:
    """`LLM_API_KEY` adds to the model what the file leaves out, and no more."""
    assert config.mistakes("models: {llm: {max_in_flight: x}}", {"LLM_API_KEY": "k"}) == [
        "models.llm.max_in_flight: must be a whole number"
    ]


def test_a_name_that_another_variable_gave_is_found(config: ConfigFile) -> None:
    """As one of the file is, with `_` for `-` and `.`."""
    environ = {"PENSTOCK__MODELS": "{gpt-4.1: {provider: echo}}", "PENSTOCK__MODELS__GPT_4_1__MAX_IN_FLIGHT": "8"}

    models = config.load("{}", environ).models

    assert {name: model.max_in_flight for name, model in models.items()} == {"gpt-4.1": 8}
