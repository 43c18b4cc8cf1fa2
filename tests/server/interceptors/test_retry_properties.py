"""Whatever models do and whenever callers leave, a call's books are in order."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.model_calls import Asked, ModelCalls
from fakes.scripted_model import HANGS, Answer, ScriptedModel
from penstockd.errors import PenstockError
from penstockd.model import Timeouts
from penstockd.resilience.allowance import Allowance
from penstockd.resilience.circuit import BreakerPolicy
from penstockd.resilience.token_bucket import TokenBucket
from penstockd.upstream import Broken, CoolingDown, Filtered, Misconfigured, Rejected, TooLong, UpstreamFailure

FAILURES: st.SearchStrategy[UpstreamFailure] = st.one_of(
    st.builds(Broken, st.just("broken")),
    st.builds(CoolingDown, st.just("429"), retry_after=st.sampled_from([None, 0.5, 100.0])),
    st.builds(Misconfigured, st.just("401")),
    st.builds(TooLong, st.just("8k")),
    st.builds(Rejected, st.just("400")),
    st.builds(Filtered, st.just("filter")),
)
PAUSES = st.sampled_from([0.1, 1.0, 3.0])
TEXTS = st.just("<text>")
BEFORE = st.one_of(st.just(()), st.tuples(PAUSES))
AFTER = st.one_of(st.just(()), st.tuples(TEXTS), st.tuples(FAILURES), st.tuples(st.just(HANGS)))
ANSWERS: st.SearchStrategy[Answer] = st.builds(
    lambda before, first, pause, after: (*before, first, *pause, *after),
    BEFORE,
    st.one_of(TEXTS, FAILURES, st.just(HANGS)),
    BEFORE,
    AFTER,
)
SCRIPTS = st.lists(st.lists(ANSWERS, max_size=4), min_size=1, max_size=3)
LEAVES = st.lists(st.sampled_from([None, 0.0, 0.05, 0.5, 2.0]), min_size=1, max_size=5)
POLICY = BreakerPolicy(consecutive_failures=2, open_for=0.3, probe_timeout=8.0)


@settings(max_examples=250)
@given(scripts=SCRIPTS, leaves=LEAVES, room=st.integers(1, 3), within=st.sampled_from([0.1, 3.0, 20.0]))
def test_every_ending_leaves_the_books_in_order(
    scripts: list[list[Answer]], leaves: list[float | None], room: int, within: float
) -> None:
    """No permit and no place stays behind, each attempt on record was made, and no text came twice."""
    calls = ModelCalls()
    models = [
        calls.model(str(number), *script, max_in_flight=room, policy=POLICY, timeouts=Timeouts(first_token=2, idle=2))
        for number, script in enumerate(scripts)
    ]

    asked = calls.run(asked_at_once(calls, models, leaves, within))

    for model in models:
        assert model.in_flight == 0
        assert model.model.permits.waiting == 0
        assert len(model.calls) == sum(name == model.name for each in asked for name, _ in each.attempts)
    for each in asked:
        assert_in_order(each, within)


@dataclass(frozen=True)
class Trouble:
    """What is in the way of one model: it fails so often, and is full, or granted to others, for some of the time."""

    failures: int
    since: float
    until: float
    by_grant: bool


TROUBLES = st.builds(
    lambda since, seconds, failures, by_grant: Trouble(failures, since, since + seconds, by_grant),
    since=st.sampled_from([0.0, 0.05, 0.15, 0.3]),
    seconds=st.sampled_from([0.01, 0.06, 0.2, 0.6, 1.2]),
    failures=st.integers(0, 2),
    by_grant=st.booleans(),
)


@settings(max_examples=250)
@given(troubles=st.lists(TROUBLES, min_size=1, max_size=3), draw=st.sampled_from([0.0, 0.3, 0.999]))
def test_no_call_gives_up_before_a_model_that_could_answer_in_time_was_asked(
    troubles: list[Trouble], draw: float
) -> None:
    """Each model answers in the end, its trouble over in less time than calls wait for room: so does the call."""
    calls = ModelCalls(max_attempts=2 * 3 + 1, draw=draw)
    models = [troubled(calls, str(number), trouble) for number, trouble in enumerate(troubles)]

    async def main() -> Asked:
        for model, trouble in zip(models, troubles, strict=True):
            begin(model, trouble)
        return await calls.ask(*models)

    asked = calls.run(main())

    assert asked.heard.text == "ok"
    assert len(asked.attempts) <= 1 + sum(trouble.failures for trouble in troubles)


def troubled(calls: ModelCalls, name: str, trouble: Trouble) -> ScriptedModel:
    """A model that fails, then answers, and takes one call at a time."""
    dead = [Broken("no route to host", reason="connect")] * trouble.failures
    if not trouble.by_grant:
        return calls.model(name, *dead, max_in_flight=1)
    # It does not fail: a repeat would have to wait for a grant of its own, together longer than calls wait.
    requests = TokenBucket(1.0 / (trouble.until - trouble.since), 1.0, calls.clock)
    return calls.model(name, allowance=Allowance(requests=requests))


def begin(model: ScriptedModel, trouble: Trouble) -> None:
    """Let another call have the model's one place, or its provider's grant, for as long as the trouble lasts."""
    at, it = asyncio.get_running_loop().call_later, model.model

    def take() -> None:
        if trouble.by_grant:
            it.allowance.take(0)
        elif it.permits.take():
            at(trouble.until - trouble.since, it.permits.release)

    if trouble.since:
        at(trouble.since, take)
    else:
        take()


async def asked_at_once(
    calls: ModelCalls, models: Sequence[ScriptedModel], leaves: Sequence[float | None], within: float
) -> list[Asked]:
    """One call per entry of `leaves`, all together; each is cancelled after as many seconds, or never."""
    return await asyncio.gather(
        *(
            calls.ask(*models, within=within) if after is None else calls.cancelled(*models, after=after, within=within)
            for after in leaves
        )
    )


def assert_in_order(asked: Asked, within: float) -> None:
    """One call's ending, attempts and text agree with each other."""
    assert asked.seconds <= within
    assert all(attempt.ended_at is not None for attempt in asked.outcome.attempts)
    reasons = [reason for _, reason in asked.attempts]
    if asked.error is None:
        assert asked.heard.completed is not None
        assert reasons[-1] == ""
        assert asked.outcome.model == asked.outcome.attempts[-1].model
    else:
        assert isinstance(asked.error, PenstockError | asyncio.CancelledError)
        assert asked.heard.completed is None
        assert "" not in reasons
        assert isinstance(asked.error, asyncio.CancelledError) or not asked.heard.text or is_partial(asked)
    assert all(reason for reason in reasons[:-1])
    assert asked.heard.deltas in ([], ["<text>"], ["<text>"] * 2, ["ok"])


def is_partial(asked: Asked) -> bool:
    """Whether the caller is told that what it heard is a part."""
    return asked.refusal.metadata == {"partial": "true"}
