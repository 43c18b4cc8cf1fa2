"""The agents are what the settings say."""

import pytest

from fakes.calls import Inner, a_call
from fakes.clock import FakeClock
from fakes.config_file import ConfigFile
from penstockd.agent import Directory
from penstockd.agent_builder import AgentBuilder
from penstockd.agents.python_agent import PythonAgent
from penstockd.config import ConfigErrors, Settings
from penstockd.log import Log
from penstockd.models.route import LeastLatency, Route, Weighted, priority
from penstockd.pool_builder import PoolBuilder
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
  own: {python: "fakes.agent_functions:yields", route: {models: [strong]}}
"""


def build(settings: Settings, ask: Inner | None = None) -> Directory:
    """The agents over a pool of their own."""
    pool = PoolBuilder(settings, clock=FakeClock()).build()
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
          a: {python: "fakes.agent_functions:missing", route: {models: [fast]}}
          b: {route: {models: [fast]}}
          c: {python: "fakes.broken_module:run", route: {models: [fast]}}
        default_agent: b
        """)

    with pytest.raises(ConfigErrors) as raised:
        build(settings)

    assert [error.path for error in raised.value.errors] == ["agents.a.python", "agents.c.python"]
