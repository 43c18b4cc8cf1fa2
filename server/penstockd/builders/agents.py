"""Builds the agents that the settings describe."""

import random
from collections.abc import Iterator, Sequence
from hashlib import blake2b

from penstockd.agent import Agent, Caching, Directory
from penstockd.agents.prompt_agent import PromptAgent
from penstockd.agents.python_agent import PythonAgent, load_function
from penstockd.call import Handler
from penstockd.config import (
    AgentSettings,
    ConfigError,
    ConfigErrors,
    ModelSettings,
    ParameterSettings,
    RouteSettings,
    Settings,
)
from penstockd.logs.log import Log
from penstockd.model import Model, Prompt
from penstockd.models.pool import Pool
from penstockd.models.route import LeastLatency, Route, Strategy, Weighted, priority
from penstockd.request import DEFAULTS, Parameters


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
        if mistakes := list(unloadable(self._settings)):
            raise ConfigErrors(mistakes)
        agents = [self._agent(name, settings) for name, settings in self._settings.agents.items()]
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
                caching=self._caching(settings),
                fingerprint=self._fingerprint(settings),
            )
        return PythonAgent(
            name=name,
            description=settings.description,
            function=load_function(settings.python),
            route=self._route(settings.route),
            routes=self._routes,
            parameters=_parameters(settings.parameters),
            ask=self._ask,
            caching=self._caching(settings),
            fingerprint=self._fingerprint(settings),
            log=self._log,
        )

    def _bare(self, model: Model) -> Agent:
        """The agent that is one model and nothing else."""
        return PromptAgent(
            name=f"model/{model.name}",
            description="",
            instructions="",
            route=Route([model], priority),
            parameters=DEFAULTS,
            ask=self._ask,
            caching=self._default_caching(),
            fingerprint=_digest(self._models_of([model.name])),
        )

    def _caching(self, settings: AgentSettings) -> Caching | None:
        """As the agent's settings say; without a word of theirs answers of prompts are kept, and of Python not."""
        match settings.cache:
            case None if settings.python is None:
                return self._default_caching()
            case None | "off":
                return None
            case own:
                ttl = self._settings.cache.ttl if own.ttl is None else own.ttl
                return Caching(ttl=ttl, per_user=settings.python is not None) if self._settings.cache.enabled else None

    def _default_caching(self) -> Caching | None:
        return Caching(ttl=self._settings.cache.ttl) if self._settings.cache.enabled else None

    def _fingerprint(self, settings: AgentSettings) -> str:
        """Of the agent, and of the models it may ask: Python may ask by any route that has a name."""
        routes = [settings.route] if settings.python is None else [settings.route, *self._settings.routes.values()]
        definition = settings.model_dump_json(exclude={"description", "cache"})
        named = [route.model_dump_json() + self._models_of(route.names) for route in routes]
        return _digest(definition + "".join(named))

    def _models_of(self, names: Sequence[str]) -> str:
        """What the models of these names are, as far as it shapes their answers."""
        return "".join(_shape(self._settings.models[name]) for name in names)

    def _route(self, settings: RouteSettings) -> Route:
        return Route([self._pool.models[name] for name in settings.names], _strategy(settings))


def unloadable(settings: Settings) -> Iterator[ConfigError]:
    """What is wrong with the Python of agents."""
    for name, agent in settings.agents.items():
        try:
            if agent.python is not None:
                load_function(agent.python)
        except ValueError as error:
            yield ConfigError(f"agents.{name}.python", str(error))


def _strategy(settings: RouteSettings) -> Strategy:
    match settings.strategy:
        case "priority":
            return priority
        case "weighted":
            return Weighted(settings.weights, random.random)
        case "least_latency":
            return LeastLatency(random.random)


def _shape(model: ModelSettings) -> str:
    """What shapes a model's answers: a header may choose what is behind its URL, or tell a provider what to do."""
    headers = sorted((name, value.reveal()) for name, value in model.headers.items())
    return model.model_dump_json(include={"provider", "base_url", "model", "body"}) + repr(headers)


def _digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=16).hexdigest()


def _parameters(settings: ParameterSettings) -> Parameters:
    return Parameters(**dict(settings)).over(DEFAULTS)
