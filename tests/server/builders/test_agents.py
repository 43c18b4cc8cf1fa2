"""The agents are what the settings say."""

import pytest

from fakes.calls import Inner, a_call
from fakes.clock import FakeClock
from fakes.config_file import ConfigFile
from penstockd.agent import Caching, Directory
from penstockd.agents.python_agent import PythonAgent
from penstockd.builders.agents import AgentBuilder
from penstockd.builders.pool import PoolBuilder
from penstockd.config import ConfigErrors, Settings
from penstockd.logs.log import Log
from penstockd.models.route import LeastLatency, Route, Weighted, priority
from penstockd.request import Parameters, Request

AGENTS = """
default_agent: support
models: {fast: {provider: echo}, strong: {provider: echo}}
routes: {both: {models: [fast, strong]}}
agents:
  support:
    description: Answers.
    instructions: Be terse.
    route: {strategy: priority, models: [strong, fast]}
    parameters: {temperature: 0.2, max_output_tokens: 800}
  shared: {route: both}
  mixed: {route: {strategy: weighted, models: {fast: 3, strong: 1}}}
  quick: {route: {strategy: least_latency, models: [fast, strong]}}
  own: {python: "imported.agent_functions:yields", route: {models: [strong]}}
"""


def build(settings: Settings, ask: Inner | None = None) -> Directory:
    """The agents over a pool of their own."""
    pool = PoolBuilder(settings, clock=FakeClock(), log=Log("test")).build()
    return AgentBuilder(settings, pool, ask=ask or Inner(), log=Log("test")).build()


async def test_a_prompt_agent_asks_as_its_settings_say(config: ConfigFile) -> None:
    """Instructions, route and parameters."""
    ask = Inner()
    agents = build(config.load(AGENTS), ask)
    support = agents.find("support")
    assert support

    await support(a_call(Request(agent="support", input="hello")))

    (call,) = ask.calls
    assert call.request.instructions == "Be terse."
    assert call.request.parameters == Parameters(temperature=0.2, max_output_tokens=800)
    assert support.models == ["strong", "fast"]
    assert support.description == "Answers."
    assert agents.default == "support"


@pytest.mark.parametrize(("agent", "own"), [("shared", None), ("model/fast", None), ("warm", 0.7), ("own", None)])
def test_what_an_agent_does_not_say_is_penstocks_own(config: ConfigFile, agent: str, own: float | None) -> None:
    """Of whatever kind it is."""
    warm = "  warm: {route: both, parameters: {temperature: 0.7}}\nallow_bare_models: true\n"

    found = build(config.load(AGENTS + warm)).find(agent)

    assert found
    assert found.parameters == Parameters(temperature=own, max_output_tokens=4096)


@pytest.mark.parametrize(
    ("agent", "strategy"), [("shared", type(priority)), ("mixed", Weighted), ("quick", LeastLatency)]
)
async def test_every_strategy_is_built(config: ConfigFile, agent: str, strategy: type) -> None:
    """Also of a route that is named elsewhere."""
    ask = Inner()
    found = build(config.load(AGENTS), ask).find(agent)
    assert found

    await found(a_call(Request(agent=agent, input="hello")))

    route = ask.calls[0].request.route
    assert isinstance(route, Route)
    assert isinstance(route.strategy, strategy)
    assert sorted(found.models) == ["fast", "strong"]


def test_a_python_agent_is_its_function(config: ConfigFile) -> None:
    """With every route that has a name."""
    own = build(config.load(AGENTS)).find("own")

    assert isinstance(own, PythonAgent)
    assert own.streams
    assert list(own.routes) == ["both"]
    assert own.models == ["strong"]


def test_bare_models_are_found_where_they_are_allowed(config: ConfigFile) -> None:
    """By model/NAME, and not listed."""
    allowed = build(config.load(AGENTS + "allow_bare_models: true\n"))
    forbidden = build(config.load(AGENTS + "allow_bare_models: false\n"))

    bare = allowed.find("model/fast")
    assert bare
    assert bare.models == ["fast"]
    assert "model/fast" not in [agent.name for agent in allowed.listed]
    assert forbidden.find("model/fast") is None


def test_agents_are_listed_by_name(config: ConfigFile) -> None:
    """Whatever their order in the file."""
    names = [agent.name for agent in build(config.load(AGENTS)).listed]

    assert names == ["mixed", "own", "quick", "shared", "support"]


def test_every_agent_that_cannot_be_loaded_is_named(config: ConfigFile) -> None:
    """All of them at once, by their paths."""
    settings = config.load("""
        models: {fast: {provider: echo}}
        agents:
          a: {python: "imported.agent_functions:missing", route: {models: [fast]}}
          b: {route: {models: [fast]}}
          c: {python: "nowhere:run", route: {models: [fast]}}
        default_agent: b
        """)

    with pytest.raises(ConfigErrors) as raised:
        build(settings)

    assert [error.path for error in raised.value.errors] == ["agents.a.python", "agents.c.python"]


def caching(config: ConfigFile, text: str, name: str = "own") -> Caching | None:
    """How an agent of the usual ones, or of those that `text` adds, is cached."""
    agent = build(config.load(AGENTS + text)).find(name)
    assert agent
    return agent.caching


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ("", "support", Caching(ttl=300.0)),
        ("", "own", None),
        ("", "model/fast", Caching(ttl=300.0)),
        ("cache: {ttl: 1m}", "support", Caching(ttl=60.0)),
        ("  x: {cache: {ttl: 10m}, route: both}\ncache: {ttl: 1m}", "x", Caching(ttl=600.0)),
        ("  x: {cache: {}, route: both}\ncache: {ttl: 1m}", "x", Caching(ttl=60.0)),
        ("  x: {cache: off, route: both}", "x", None),
        (
            '  x: {python: "imported.agent_functions:yields", cache: {}, route: both}',
            "x",
            Caching(ttl=300.0, per_user=True),
        ),
        ('  x: {python: "imported.agent_functions:yields", cache: off, route: both}', "x", None),
        ("cache: {enabled: false}", "support", None),
        ("cache: {enabled: false}", "model/fast", None),
        ("  x: {cache: {ttl: 10m}, route: both}\ncache: {enabled: false}", "x", None),
    ],
)
def test_answers_are_kept_as_the_settings_say(
    config: ConfigFile, text: str, name: str, expected: Caching | None
) -> None:
    """Of prompts unless they say no, of Python only if they say yes, and of nobody where the cache is off."""
    assert caching(config, text, name) == expected


@pytest.mark.parametrize(
    ("name", "old", "new", "is_the_same"),
    [
        ("support", "Answers.", "Replies.", True),
        ("support", "Be terse.", "Be brief.", False),
        ("support", "temperature: 0.2", "temperature: 0.3", False),
        ("support", "[strong, fast]", "[fast, strong]", False),
        ("support", "fast: {provider: echo}", "fast: {provider: echo, model: other}", False),
        ("support", "fast: {provider: echo}", "fast: {provider: echo, body: {effort: low}}", False),
        ("support", "fast: {provider: echo}", "fast: {provider: echo, headers: {x-lora-adapter: legal}}", False),
        ("support", "fast: {provider: echo}", "fast: {provider: echo, max_in_flight: 7}", True),
        ("own", "fast: {provider: echo}", "fast: {provider: echo, model: other}", False),
        ("own", "both: {models: [fast, strong]}", "both: {models: [strong]}", False),
        ("own", "agent_functions:yields", "agent_functions:replies", False),
        ("model/fast", "fast: {provider: echo}", "fast: {provider: echo, model: other}", False),
        ("model/strong", "fast: {provider: echo}", "fast: {provider: echo, model: other}", True),
    ],
)
def test_a_fingerprint_tells_definitions_apart(
    config: ConfigFile, name: str, old: str, new: str, *, is_the_same: bool
) -> None:
    """Also by the models that the agent may ask; what does not shape answers leaves it alone."""
    before, after = (build(config.load(text)).find(name) for text in (AGENTS, AGENTS.replace(old, new)))
    assert before
    assert after

    assert (before.fingerprint == after.fingerprint) is is_the_same
