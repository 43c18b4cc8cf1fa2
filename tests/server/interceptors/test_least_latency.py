"""Calls find the models that answer, though nobody knows the others yet."""

import asyncio
from random import Random

from msgspec.structs import replace

from fakes.asking import Heard, model_call
from fakes.model_calls import ModelCalls, a_prompt
from fakes.scripted_model import HANGS, ScriptedModel
from penstockd.errors import PenstockError
from penstockd.models.route import LeastLatency, Route
from penstockd.upstream import QuotaSpent

SECONDS_TO_ANSWER = 0.05


class Crowd:
    """Callers of a model that answers soon, beside one that does something else."""

    def __init__(self, calls: ModelCalls, other: ScriptedModel) -> None:
        self.calls = calls
        self.good = calls.model("good", *[(SECONDS_TO_ANSWER, "text")] * 1000)
        self.other = other
        self._route = Route([self.good.model, other.model], LeastLatency(Random(1).random))

    async def ask(self) -> bool:
        """Make one call within 6 s; return whether it was answered."""
        prompt = replace(a_prompt([]), route=self._route)
        heard = Heard()
        try:
            await self.calls.handle(model_call(prompt, heard.take, expires_at=self.calls.clock.monotonic() + 6.0))
        except PenstockError:
            return False
        return heard.text == "text"

    async def come(self, count: int, *, every: float) -> list[bool]:
        """Let so many call, one after the other, without waiting for answers."""
        asking = []
        for _ in range(count):
            asking.append(asyncio.ensure_future(self.ask()))
            await self.calls.clock.sleep(every)
        return await asyncio.gather(*asking)


def test_a_model_without_credit_is_asked_once_in_a_while() -> None:
    """Nothing blames it, and nobody has heard it, which is no reason to ask it first every time."""
    calls = ModelCalls()
    crowd = Crowd(calls, calls.model("broke", *[QuotaSpent("no credit")] * 1000))

    answered = calls.run(crowd.come(100, every=1.0))

    assert all(answered)
    assert 2 <= len(crowd.other.calls) <= 6


def test_a_model_that_says_nothing_holds_few_calls() -> None:
    """What it has in flight makes it look slower, and what came to nothing last."""
    calls = ModelCalls()
    crowd = Crowd(calls, calls.model("silent", *[HANGS] * 1000))

    answered = calls.run(crowd.come(400, every=0.05))

    assert all(answered)
    assert 1 <= len(crowd.other.calls) <= 4


def test_a_new_model_that_is_faster_is_found() -> None:
    """One call is enough to hear it."""
    calls = ModelCalls()
    crowd = Crowd(calls, calls.model("fast", *[(SECONDS_TO_ANSWER / 10, "text")] * 1000))

    answered = calls.run(crowd.come(100, every=1.0))

    assert all(answered)
    assert len(crowd.other.calls) >= 99
