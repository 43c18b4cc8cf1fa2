"""Callers of every kind, some of whom leave when they feel like it, and what each of them came away with."""

import asyncio
import random
from collections.abc import Iterator
from itertools import count

import penstock
from fakes.billing import WORDS
from penstock.v1.agent_service_pb2 import ProcessResponse

LARGEST_OUTPUT = 40
AT_ONCE = 12
"""How many call at a time."""


class Crowd:
    """Asks questions that are all different; the first word of each, which is its request id, tells them apart."""

    def __init__(self, seed: int, *, leaves: float = 0.2) -> None:
        """`leaves` is the share of callers who are gone before they know how it ends."""
        self.asked: dict[str, str] = {}
        self.answered: dict[str, ProcessResponse] = {}
        self.refused: dict[str, str] = {}
        self.left: set[str] = set()
        self._leaves = leaves
        self._random = random.Random(seed)
        self._numbers = count(1)

    async def call(self, client: penstock.AgentClient, calls: int) -> None:
        """Make so many calls, several at a time, each of an agent, RPC and length that chance decides on."""
        tickets = iter(range(calls))
        await asyncio.gather(*(self._take_turns(client, tickets) for _ in range(AT_ONCE)))

    async def _take_turns(self, client: penstock.AgentClient, tickets: Iterator[int]) -> None:
        for _ in tickets:
            question = f"question-{next(self._numbers)}"
            self.asked[question] = " ".join([question, *self._random.choices(WORDS, k=self._random.randint(1, 30))])
            leaves_after = self._random.uniform(0.0, 0.06) if self._random.random() < self._leaves else None
            ask = self._stream if self._random.random() < 0.5 else self._whole
            try:
                async with asyncio.timeout(leaves_after):
                    self.answered[question] = await ask(client, question)
            except TimeoutError:
                self.left.add(question)
            except penstock.PenstockError as error:
                self.refused[question] = error.reason

    async def _whole(self, client: penstock.AgentClient, question: str) -> ProcessResponse:
        return await client.process(self.asked[question], **self._options(question), timeout=20.0)

    async def _stream(self, client: penstock.AgentClient, question: str) -> ProcessResponse:
        stream = client.stream(self.asked[question], **self._options(question), timeout=20.0)
        async with stream:
            async for _ in stream:
                pass
        return stream.response

    def _options(self, question: str) -> penstock.request.Options:
        return {
            "request_id": question,
            "agent": self._random.choice(["cheap", "dear", "other"]),
            "max_output_tokens": LARGEST_OUTPUT,
        }
