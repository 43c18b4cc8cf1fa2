"""Whatever models do and whenever callers leave, a call's books are in order."""

import asyncio
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.model_calls import Asked, ModelCalls
from fakes.scripted_model import HANGS, Answer, ScriptedModel
from penstockd.errors import PenstockError
from penstockd.model import Timeouts
from penstockd.resilience.circuit import BreakerPolicy
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
        assert asked.outcome.model == asked.heard.completed.model == asked.outcome.attempts[-1].model
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
