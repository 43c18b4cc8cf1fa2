"""An upstream that keeps its own bill, as providers do: for what it generated, whoever got to hear of it."""

import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from enum import Enum
from typing import Final, cast

from msgspec.structs import replace

from fakes.providers import ANTHROPIC, OPENAI, Kind
from fakes.upstream import CLOSE, LAST_CHUNK, STREAM_HEAD, Received, Script, Step, Wait, chunk, head, response
from penstockd.usage import Usage

WORDS: Final = ("the", "of", "and", "gate", "water", "level", "turbine", "pressure", "penstock", "slowly", "governor")


@dataclass(frozen=True, kw_only=True)
class Tariff:
    """What a provider's price list says, in USD per million tokens."""

    input: str
    cached_input: str
    cache_write: str
    output: str

    def bill(self, usage: Usage) -> int:
        """What `usage` comes to in nano-USD, rounded up once, in the decimals of the price list."""
        usd = (
            usage.uncached_input * Decimal(self.input)
            + usage.cached_input * Decimal(self.cached_input)
            + usage.cache_write_input * Decimal(self.cache_write)
            + usage.output * Decimal(self.output)
        ) / 1_000_000
        return int((usd * 10**9).to_integral_value(ROUND_CEILING))


@dataclass(frozen=True, kw_only=True)
class Seller:
    """One model that is for sale."""

    kind: Kind
    tariff: Tariff

    def settings(self, url: str, name: str) -> Mapping[str, object]:
        """How a configuration names it: its price is the tariff's."""
        return {
            "provider": self.kind.name,
            "base_url": url,
            "api_key": "sk-made-up",
            "model": name,
            "price": {part: float(usd) for part, usd in vars(self.tariff).items()},
        }


SELLERS: Final[Mapping[str, Seller]] = {
    "small": Seller(
        kind=OPENAI, tariff=Tariff(input="0.15", cached_input="0.0375", cache_write="0.15", output="0.6125")
    ),
    "large": Seller(kind=OPENAI, tariff=Tariff(input="2.5", cached_input="1.25", cache_write="2.5", output="10")),
    "claude": Seller(kind=ANTHROPIC, tariff=Tariff(input="3", cached_input="0.3", cache_write="3.75", output="15")),
}


class Conduct(Enum):
    """How one request is dealt with."""

    WELL = "answered, and counted"
    SLOWLY = "answered piece by piece, and counted"
    UNCOUNTED = "answered without a count"
    CUT = "cut in the middle of the answer"
    ERROR = "refused for an error of its own, for free"
    BUSY = "refused for now, for free"


MIXED: Final[Mapping[Conduct, int]] = {
    Conduct.WELL: 60,
    Conduct.SLOWLY: 15,
    Conduct.UNCOUNTED: 5,
    Conduct.CUT: 10,
    Conduct.ERROR: 7,
    Conduct.BUSY: 3,
}
"""How often each happens, of a hundred."""


@dataclass(eq=False, kw_only=True)
class Charge:
    """One request on the bill; `question` is the first word that was asked."""

    question: str
    model: str
    conduct: Conduct
    usage: Usage

    @property
    def nanousd(self) -> int:
        """What it costs so far."""
        return SELLERS[self.model].tariff.bill(self.usage)

    def generated(self, tokens: int = 1) -> None:
        """Charge for so much more output."""
        self.usage = replace(self.usage, output=self.usage.output + tokens)


class Biller:
    """Answers as both kinds of provider, decides at random how, and charges what it generates as it does."""

    def __init__(self, seed: int, mix: Mapping[Conduct, int] = MIXED) -> None:
        self.charges: list[Charge] = []
        self._random = random.Random(seed)
        self._mix = mix

    @property
    def by_question(self) -> Mapping[tuple[str, str], Sequence[Charge]]:
        """The charges for each question to each model."""
        charges: defaultdict[tuple[str, str], list[Charge]] = defaultdict(list)
        for charge in self.charges:
            charges[charge.question, charge.model].append(charge)
        return charges

    def respond(self, request: Received) -> Script:
        """Deal with one request."""
        asked = cast("dict[str, object]", request.json)
        name, text = str(asked["model"]), cast("list[dict[str, str]]", asked["messages"])[-1]["content"]
        [conduct] = self._random.choices(list(self._mix), list(self._mix.values()))
        if conduct is Conduct.ERROR:
            return (response(b'{"error": {"message": "oops"}}', status=500),)
        if conduct is Conduct.BUSY:
            return (response(b'{"error": {"message": "slow down"}}', status=429, retry_after_ms="1"),)
        pieces = [f"{self._random.choice(WORDS)} " for _ in range(self._random.randint(1, 20))]
        charge = Charge(question=text.split()[0], model=name, conduct=conduct, usage=self._input(name, text))
        self.charges.append(charge)
        return self._answer(charge, pieces, streams=bool(asked.get("stream")))

    def _input(self, name: str, text: str) -> Usage:
        """About four letters a token, some of them from the cache."""
        tokens = round(len(text) / self._random.uniform(3.5, 4.5)) + 7
        cached = self._random.choice((0, tokens // 3))
        written = self._random.choice((0, tokens // 4)) if SELLERS[name].kind is ANTHROPIC else 0
        return Usage(uncached_input=tokens - cached - written, cached_input=cached, cache_write_input=written)

    def _answer(self, charge: Charge, pieces: Sequence[str], *, streams: bool) -> Iterator[Step]:
        kind, is_counted = SELLERS[charge.model].kind, charge.conduct is not Conduct.UNCOUNTED
        total = replace(charge.usage, output=len(pieces)) if is_counted else None
        if streams:
            yield from self._streamed(charge, len(pieces), kind.events(pieces, total))
            return
        for _ in pieces:
            charge.generated()
            yield self._pause(charge)
        body = kind.answer("".join(pieces), total)
        if charge.conduct is Conduct.CUT:
            yield head(content_type="application/json", content_length=str(len(body))) + body[: len(body) // 2]
            yield CLOSE
        else:
            yield response(body)

    def _streamed(self, charge: Charge, pieces: int, events: Sequence[bytes]) -> Iterator[Step]:
        before = 3 if SELLERS[charge.model].kind is ANTHROPIC else 1
        cut_at = self._random.randrange(len(events)) if charge.conduct is Conduct.CUT else None
        yield STREAM_HEAD
        for number, event in enumerate(events):
            if number == cut_at:
                yield CLOSE
                return
            if before <= number < before + pieces:
                charge.generated()
                yield self._pause(charge)
            yield chunk(event)
        yield LAST_CHUNK

    def _pause(self, charge: Charge) -> Step:
        return Wait(0.003) if charge.conduct is Conduct.SLOWLY else b""
