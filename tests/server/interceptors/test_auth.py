"""Who gets past the door, and what strangers and operators are told."""

from math import inf

import pytest

from fakes.clock import FakeClock
from fakes.telescope import Telescope
from penstockd.call import Call, Method, Q, Reply
from penstockd.errors import PermissionDenied, Unauthenticated
from penstockd.identity import Identify, Refusal
from penstockd.interceptors.auth import Auth
from penstockd.metadata import Entries, Metadata
from penstockd.outcome import Outcome
from penstockd.principal import Principal
from penstockd.request import Request

WEB = Principal(tenant="acme", key="web", agents=frozenset({"support", "model/m"}))


class Door:
    """An Auth that believes as it is told, whom it let through, and what it counted."""

    def __init__(self, identify: Identify) -> None:
        self._telescope = Telescope()
        self.clock = FakeClock()
        self.entered: list[Call[object]] = []
        self.latest = Outcome()
        self._auth = Auth(identify, clock=self.clock, instruments=self._telescope.instruments)

    async def knock(self, request: object, *, metadata: Entries = (), sans: tuple[str, ...] | None = None) -> Outcome:
        """Make a call, and return what became of it."""
        outcome = self.latest = Outcome()
        call = Call(
            method=Method("/a.B/C"),
            request=request,
            send=nowhere,
            outcome=outcome,
            started_at=0.0,
            expires_at=inf,
            metadata=Metadata(metadata),
            sans=sans,
        )
        await self._auth(call, self._enter)
        return outcome

    async def _enter(self, call: Call[Q]) -> None:
        self.entered.append(call)

    @property
    def refusals(self) -> dict[object, float]:
        """How many were refused, by reason."""
        points = self._telescope.points("penstock.auth.refusals")
        return {attributes["penstock.reason"]: count for attributes, count in points}


async def nowhere(reply: Reply) -> None:
    """Send nothing."""


async def test_a_known_caller_is_noted_and_let_through() -> None:
    """By all its credentials, and the time of day."""
    seen: list[object] = []

    def identify(*evidence: object) -> Principal:
        seen.append(evidence)
        return WEB

    door = Door(identify)

    outcome = await door.knock(
        Request(agent="support", input="x"), metadata=(("authorization", "a"), ("authorization", "b")), sans=("x.svc",)
    )

    assert outcome.principal == WEB
    assert len(door.entered) == 1
    assert seen == [(["a", "b"], ("x.svc",), door.clock.wall())]


async def test_strangers_are_told_the_same_and_counted_by_reason() -> None:
    """Nobody learns how near it came but the operator."""
    reasons = iter([*Refusal, Refusal.UNKNOWN])
    door = Door(lambda *_: next(reasons))
    texts, noted = set(), []

    for _ in range(len(Refusal) + 1):
        with pytest.raises(Unauthenticated) as refused:
            await door.knock(Request(agent="support", input="x"))
        texts.add((refused.value.message, refused.value.retry_after, *refused.value.metadata))
        noted.append(door.latest.auth)

    assert len(texts) == 1
    assert noted == [*(reason.value for reason in Refusal), "unknown"]
    assert door.entered == []
    assert door.refusals == {reason.value: 2 if reason is Refusal.UNKNOWN else 1 for reason in Refusal}


@pytest.mark.parametrize("agent", ["research", "model/other", "nobody"])
async def test_a_key_is_kept_to_its_agents(agent: str) -> None:
    """Whether there is another one of that name is none of its business."""
    door = Door(lambda *_: WEB)

    with pytest.raises(PermissionDenied):
        await door.knock(Request(agent=agent, input="x"))

    assert door.entered == []


async def test_its_own_agents_and_whatever_names_none_are_open() -> None:
    """A list of models is asked of no agent."""
    door = Door(lambda *_: WEB)

    for request in (Request(agent="model/m", input="x"), object()):
        await door.knock(request)

    assert len(door.entered) == 2
    assert door.refusals == {}
