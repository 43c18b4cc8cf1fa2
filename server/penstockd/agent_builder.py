"""Builds the agents that the settings describe."""

import random

from penstockd.agent import Agent, Directory
from penstockd.agents.prompt_agent import PromptAgent
from penstockd.agents.python_agent import PythonAgent, load_function
from penstockd.call import Handler
from penstockd.config import AgentSettings, ConfigError, ConfigErrors, ParameterSettings, RouteSettings, Settings
from penstockd.log import Log
from penstockd.model import Model, Pool, Prompt
from penstockd.models.route import LeastLatency, Route, Strategy, Weighted, priority
from penstockd.request import Parameters


class AgentBuilder:
    """Builds the agents of one configuration over its pool."""

    def __init__(self, settings: Settings, pool: Pool, *, ask: Handler[Prompt], log: Log) -> None:
        """`ask` is the chain around each model call of an agent."""
        self._settings = settings
        self._pool = pool
        self._ask = ask
        self._log = log
        self._routes = {name: self._route(route) for name, route in settings.routes.items()}

    def build(self) -> Directory:
        """Return every agent; raises ConfigErrors for Python that cannot be loaded."""
        agents: list[Agent] = []
        mistakes: list[ConfigError] = []
        for name, settings in self._settings.agents.items():
            try:
                agents.append(self._agent(name, settings))
            except ValueError as error:
                mistakes.append(ConfigError(f"agents.{name}.python", str(error)))
        if mistakes:
            raise ConfigErrors(mistakes)
        bare = self._pool.models.values() if self._settings.allow_bare_models else ()
        return Directory(agents, bare=[self._bare(model) for model in bare], default=self._settings.default_agent)

    def _agent(self, name: str, settings: AgentSettings) -> Agent:
        if settings.python is None:
            return PromptAgent(
                name=name,
                description=settings.description,
                instructions=settings.instructions or "",
                route=self._route(settings.route),
                parameters=_parameters(settings.parameters),
                ask=self._ask,
            )
        return PythonAgent(
            name=name,
            description=settings.description,
            function=load_function(settings.python),
            route=self._route(settings.route),
            routes=self._routes,
            parameters=_parameters(settings.parameters),
            ask=self._ask,
            log=self._log,
        )

    def _bare(self, model: Model) -> Agent:
        """The agent that is one model and nothing else."""
        return PromptAgent(
            name=f"model/{model.name}",
            description="",
            instructions="",
            route=Route([model], priority),
            parameters=Parameters(),
            ask=self._ask,
        )

    def _route(self, settings: RouteSettings) -> Route:
        return Route([self._pool.models[name] for name in settings.names], _strategy(settings))


def _strategy(settings: RouteSettings) -> Strategy:
    match settings.strategy:
        case "priority":
            return priority
        case "weighted":
            return Weighted(settings.weights, random.random)
        case "least_latency":
            return LeastLatency(random.random)


def _parameters(settings: ParameterSettings) -> Parameters:
    return Parameters(**dict(settings))
