"""An agent as the floors above see it, and where they are found."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from msgspec import Struct

from penstockd.call import Call
from penstockd.request import Parameters, Request


class Caching(Struct, frozen=True, kw_only=True):
    """How an agent's answers may be kept, for `ttl` seconds, and shared; `per_user`: never between end users."""

    ttl: float
    per_user: bool = False


class Agent(Protocol):
    """Turns a request into one or more model calls and replies with `Delta* Completed`."""

    @property
    def name(self) -> str:
        """By which callers ask for it."""

    @property
    def description(self) -> str:
        """What it does, for people."""

    @property
    def models(self) -> Sequence[str]:
        """The pool models of its route, in the route's order."""

    @property
    def streams(self) -> bool:
        """Whether its text comes piece by piece."""

    @property
    def parameters(self) -> Parameters:
        """How answers are generated where the caller does not say; what its definition leaves open is by DEFAULTS."""

    @property
    def caching(self) -> Caching | None:
        """How answers may be kept and shared; None = not at all."""

    @property
    def fingerprint(self) -> str:
        """Differs from that of any other definition of an agent and its models."""

    def __call__(self, call: Call[Request]) -> Awaitable[None]:
        """Answer `call`."""


class Directory:
    """The agents of one configuration; bare models are found by name, not listed.

    `find` returns the agent of a name, if there is one.
    """

    def __init__(self, agents: Sequence[Agent], *, bare: Sequence[Agent] = (), default: str) -> None:
        """Answer requests that name no agent with the one called `default`."""
        self.default = default
        self.listed = sorted(agents, key=lambda agent: agent.name)
        self.find: Callable[[str], Agent | None] = {agent.name: agent for agent in (*bare, *agents)}.get
