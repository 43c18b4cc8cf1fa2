"""A model of the pool and what is asked of it, as every floor above sees them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeAlias

from msgspec import Struct, field

from penstockd.call import Handler
from penstockd.outcome import Attempt
from penstockd.request import Parameters, Turn
from penstockd.resilience.allowance import Allowance
from penstockd.resilience.breaker import CircuitBreaker
from penstockd.resilience.circuit import Transition
from penstockd.resilience.latency import Latency
from penstockd.resilience.permits import Permits
from penstockd.resilience.retry_budget import RetryBudget
from penstockd.usage import Usage

BYTES_PER_TOKEN = 4
"""How tokens are counted where nobody else does."""


class Timeouts(Struct, frozen=True, kw_only=True):
    """What one attempt may take, in seconds; `first_token` and `idle` hold for streams, reasoning included."""

    connect: float = 2.0
    first_token: float = 20.0
    idle: float = 15.0
    total: float = 120.0


class Price(Struct, frozen=True, kw_only=True):
    """What tokens cost, in nano-USD per million of them."""

    input: int
    cached_input: int
    cache_write: int
    output: int

    def cost(self, usage: Usage) -> int:
        """The cost of `usage` in nano-USD, rounded up once."""
        millionths = (
            usage.uncached_input * self.input
            + usage.cached_input * self.cached_input
            + usage.cache_write_input * self.cache_write
            + usage.output * self.output
        )
        return -(-millionths // 1_000_000)

    def most(self, usage: Usage) -> int:
        """The most that `usage` may cost in nano-USD, whichever kind of input the provider counts its input as."""
        dearest = max(self.input, self.cached_input, self.cache_write)
        return -(-(usage.input * dearest + usage.output * self.output) // 1_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One model of the pool: a provider to answer, and the machines that guard it.

    `first_tokens` is how fast its streams begin, `whole_answers` how fast its unary answers are there: a model can be
    quick at one and slow at the other. `grants` is what the provider grants us as configured, such as
    {"requests": "500/m"}.
    """

    name: str
    provider: str
    upstream_name: str
    answer: "Handler[Prompt]"
    price: Price | None
    breaker: CircuitBreaker
    permits: Permits
    retries: RetryBudget
    first_tokens: Latency
    whole_answers: Latency
    allowance: Allowance
    grants: Mapping[str, str]

    def latency_of(self, *, streams: bool) -> Latency:
        """How fast first content comes of streams, or of unary answers."""
        return self.first_tokens if streams else self.whole_answers

    @property
    def time_to_first_content(self) -> float | None:
        """For people, in seconds: how soon streams began lately; of a model that made none, how soon answers came."""
        return self.whole_answers.ewma if self.first_tokens.ewma is None else self.first_tokens.ewma


Changed: TypeAlias = Callable[[Model, Transition | None], None]
"""Is told how a model's circuit has changed; None where it has not."""


class Route(Protocol):
    """The models an agent may use, and in which order a call tries them."""

    @property
    def models(self) -> Sequence[Model]:
        """Every model of the route, as configured."""

    def order(self, *, streams: bool) -> list[Model]:
        """The models in the order in which one call, a stream or not, should try them: a list of the call's own."""


_unmade = partial(Attempt, model="", started_at=0.0)
"""The attempt of a prompt before one is made."""


def _unwatched() -> None:
    """Tell nobody."""


class Prompt(Struct, frozen=True, kw_only=True):
    """One model call that an agent makes, and, once the retry loop has chosen, which model it is for.

    A provider reads `instructions`, `turns`, `parameters` (max_output_tokens is always set) and `streams`, and writes
    usage to `attempt` as it learns it; `user_id` and `labels` are for accounts. It calls `thought` when a stream has
    brought output that is no text: the model is at work, though nothing is to be sent. Content must begin `reserve`
    seconds, and the answer must be whole `margin` seconds, before the call ends, overtime included.
    """

    instructions: str
    turns: tuple[Turn, ...]
    parameters: Parameters
    route: Route
    streams: bool
    user_id: str = ""
    labels: Mapping[str, str] = {}
    model: Model | None = None
    attempt: Attempt = field(default_factory=_unmade)
    reserve: float = 0.0
    margin: float = 0.0
    thought: Callable[[], None] = _unwatched


def estimate(prompt: Prompt) -> Usage:
    """The most that `prompt` should use: its input, at four bytes a token, and all the output that it allows."""
    tokens = 3
    if prompt.instructions:
        tokens += text_tokens(prompt.instructions) + 4
    for turn in prompt.turns:
        if turn.content:
            tokens += text_tokens(turn.content) + 4
    return Usage(uncached_input=tokens, output=prompt.parameters.max_output_tokens or 0)


def text_tokens(text: str) -> int:
    """What `text` should take, at four bytes a token."""
    size = len(text) if text.isascii() else len(text.encode())
    return -(-size // BYTES_PER_TOKEN)


def chosen(prompt: Prompt) -> Model:
    """The model that the retry loop chose; it is an error to ask before."""
    if prompt.model is None:
        message = "no model was chosen for this prompt"
        raise RuntimeError(message)
    return prompt.model
