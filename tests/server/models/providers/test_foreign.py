"""What somebody else's provider does, by mistake too, is a failure of the model and of nobody else."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from math import inf, nan
from typing import Any, cast

import pytest
from msgspec.structs import replace

from fakes import virtual_time
from fakes.asking import Heard, model_call, prompt
from fakes.clock import FakeClock
from fakes.scripted_model import ScriptedModel
from fakes.virtual_time import VirtualClock
from penstockd import foreign_tasks
from penstockd.call import Call, Completed, Delta, Reply
from penstockd.errors import Draining
from penstockd.foreign_tasks import TIME_TO_END
from penstockd.logs.log import Log
from penstockd.model import Prompt, Timeouts
from penstockd.models.providers.dialect import MAX_TOKENS
from penstockd.models.providers.foreign import Foreign
from penstockd.models.providers.retry_hint import ABSURD
from penstockd.models.timed import Timed
from penstockd.outcome import Attempt, FinishReason
from penstockd.upstream import (
    LONGEST_ACCOUNT,
    PROVIDER_ERROR,
    Blame,
    Broken,
    CoolingDown,
    PassedOver,
    Rejected,
    TimedOut,
    UpstreamFailure,
)
from penstockd.usage import Usage

Provider = Callable[[Call[Prompt]], Awaitable[None]]

LOG = Log("test").bound(model="m")
DONE = Completed(finish_reason=FinishReason.STOP)
TEXT = Delta("text")


class Quit(BaseException):
    """What a library might end its own work with."""


WILD = [
    ValueError("odd"),
    Quit("odd"),
    SystemExit(3),
    KeyboardInterrupt(),
    GeneratorExit(),
    asyncio.CancelledError(),
]
"""A cancellation that nobody asked for is a failure as any other."""


def saying(*steps: Reply | BaseException) -> Provider:
    """A provider that sends replies and raises errors in this order."""

    async def provider(call: Call[Prompt]) -> None:
        for step in steps:
            if isinstance(step, BaseException):
                raise step
            await call.send(step)

    return provider


async def ask(provider: Provider, *, send: Callable[[Reply], Awaitable[None]] | None = None) -> Heard:
    """Ask the model "m", which is `provider`, and return what it said."""
    heard = Heard()
    await Foreign(provider, LOG)(asking(send or heard.take))
    return heard


def asking(send: Callable[[Reply], Awaitable[None]]) -> Call[Prompt]:
    """A call of the model "m", which streams."""
    request = replace(prompt(streams=True), model=ScriptedModel("m", clock=FakeClock()).model)
    call = model_call(request, send)
    call.outcome.request_id = "r1"
    return call


async def raises_another() -> None:
    """Take a cancellation for an error of its own."""
    try:
        await asyncio.sleep(1000.0)
    except asyncio.CancelledError as error:
        raise ConnectionError("wrapped") from error


async def swallows() -> None:
    """End as if nothing had been."""
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.sleep(1000.0)


async def lingers() -> None:
    """End as it is told to."""
    await asyncio.sleep(1000.0)


async def goes_on() -> None:
    """Go on as if nothing had been."""
    await swallows()
    await lingers()


Ending = Callable[[], Awaitable[None]]

ENDINGS = pytest.mark.parametrize("ending", [raises_another, swallows, lingers, goes_on])


def before_its_end(ending: Ending, *replies: Reply) -> Provider:
    """A provider that sends replies before `ending`."""

    async def provider(call: Call[Prompt]) -> None:
        await saying(*replies)(call)
        await ending()

    return provider


def cancelling() -> int:
    """How often the task that asks was cancelled."""
    task = asyncio.current_task()
    assert task is not None
    return task.cancelling()


def told(
    caplog: pytest.LogCaptureFixture, message: str = "a provider failed after its answer"
) -> list[dict[str, object]]:
    """What the log was told, which is nothing but this message."""
    assert {record.levelname for record in caplog.records} <= {"WARNING"}
    assert {record.getMessage() for record in caplog.records} <= {message}
    return [record.__dict__["fields"] for record in caplog.records]


async def test_an_answer_passes_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    """Every reply, in order, and the log has nothing to say."""
    heard = await ask(saying(TEXT, DONE))

    assert heard.deltas == ["text"]
    assert heard.completed is DONE
    assert told(caplog) == []


@pytest.mark.parametrize("error", WILD, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("before", [(), (TEXT,)], ids=["at once", "later"])
async def test_whatever_it_raises_is_a_failure_of_the_model(before: tuple[Reply, ...], error: BaseException) -> None:
    """What would end the event loop too, and everybody's calls with it."""
    with pytest.raises(Broken) as raised:
        await ask(saying(*before, error))

    assert raised.value.reason == PROVIDER_ERROR
    assert raised.value.__cause__ is error


async def test_what_it_says_by_our_classes_stands() -> None:
    """It knows best how long to leave it alone."""
    failure = CoolingDown("429", retry_after=3.0)

    with pytest.raises(CoolingDown) as raised:
        await ask(saying(failure))

    assert raised.value is failure


@pytest.mark.parametrize("hint", [nan, inf, 1e300, -0.1, ABSURD + 1, "3"], ids=str)
async def test_a_hint_that_makes_no_sense_is_none(hint: Any) -> None:  # noqa: ANN401 - whatever somebody writes
    """As with what a provider says over HTTP; the rest of what it says stands."""
    failure = CoolingDown("429", retry_after=hint)

    with pytest.raises(CoolingDown) as raised:
        await ask(saying(failure))

    assert raised.value is failure
    assert failure.retry_after is None


class Blameless(UpstreamFailure):
    """Says nothing of its model."""

    reason = "odd"


class Blaming(UpstreamFailure):
    """Says no reason."""

    blame = Blame.FAILURE


class Wordless(Rejected):
    """Does not call its parent."""

    def __init__(self) -> None:
        pass


class Mislabelled(CoolingDown):
    """Says its reason as metrics cannot take it."""

    reason = "Rate-Limited"


def failing(kind: type[UpstreamFailure], *said: Any, **more: Any) -> UpstreamFailure:  # noqa: ANN401
    """A failure as somebody may write it who has no type checker."""
    return kind(*said, **more)


@pytest.mark.parametrize(
    "failure",
    [
        failing(UpstreamFailure, "odd"),
        failing(Blameless, "odd"),
        failing(Wordless),
        failing(Broken, None),
        failing(Rejected, ValueError("odd")),
        failing(PassedOver, "odd"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("before", [(), (TEXT,)], ids=["at once", "later"])
async def test_what_it_says_wrongly_by_our_classes_is_a_failure_like_any_other(
    before: tuple[Reply, ...], failure: UpstreamFailure
) -> None:
    """Breakers, metrics and statuses would break on it; and that nothing was sent is not for it to say."""
    with pytest.raises(Broken) as raised:
        await ask(saying(*before, failure))

    assert raised.value.reason == PROVIDER_ERROR
    assert raised.value.message == f"the provider raised {type(failure).__name__}"
    assert raised.value.__cause__ is failure


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (failing(Broken, "odd", reason=5), "broken"),
        (failing(Broken, "odd", reason=""), "broken"),
        (failing(Broken, "odd", reason="HTTP 500: <html>"), "broken"),
        (failing(CoolingDown, "odd", reason="x" * 65, retry_after=3.0), "rate_limited"),
        (failing(Rejected, "odd", reason="Policy-Violation"), "rejected"),
        (failing(Blaming, "odd"), PROVIDER_ERROR),
        (failing(Mislabelled, "odd", retry_after=3.0), PROVIDER_ERROR),
    ],
    ids=repr,
)
async def test_a_reason_that_is_no_label_is_its_classs(failure: UpstreamFailure, reason: str) -> None:
    """Metrics have a series for each; what else it says, and whose affair it is, stands."""
    hint = failure.retry_after

    with pytest.raises(UpstreamFailure) as raised:
        await ask(saying(failure))

    assert raised.value is failure
    assert (failure.reason, failure.message, failure.retry_after) == (reason, "odd", hint)


def done(**said: Any) -> Reply:  # noqa: ANN401
    """An end as somebody may write it who has no type checker."""
    return Completed(**{"finish_reason": FinishReason.STOP, **said})


NO_REPLIES = {
    "no text": Delta(cast("str", None)),
    "bytes": Delta(cast("str", b"text")),
    "half a character": Delta("\ud83d"),
    "its own reason": done(finish_reason="stop"),
    "no reason": done(finish_reason=None),
    "no usage": done(usage=None),
    "usage as JSON has it": done(usage={"output": 1}),
    "a float": done(usage=Usage(output=cast("int", 1.5))),
    "below zero": done(usage=Usage(output=-1)),
    "below zero, cached": done(usage=Usage(uncached_input=9, cached_input=-1)),
    "absurd": done(usage=Usage(output=MAX_TOKENS + 1)),
    "a bare text": cast("Reply", "text"),
    "nothing": cast("Reply", None),
}

NO_REPLY = pytest.mark.parametrize("reply", NO_REPLIES.values(), ids=NO_REPLIES.keys())


@NO_REPLY
@pytest.mark.parametrize("before", [(), (TEXT,)], ids=["at once", "later"])
async def test_what_is_no_reply_is_a_failure_of_the_model(before: tuple[Reply, ...], reply: Reply) -> None:
    """It is not handed on, where it would be the caller's failure, or money that comes back."""
    heard = Heard()

    with pytest.raises(Broken, match=r"^the provider sent a ") as raised:
        await ask(saying(*before, reply), send=heard.take)

    assert raised.value.reason == PROVIDER_ERROR
    assert (heard.deltas, heard.completed) == (["text"] * len(before), None)


@NO_REPLY
async def test_whoever_makes_nothing_of_it_fails_all_the_same(reply: Reply) -> None:
    """Or the answer would have a hole."""
    heard = Heard()

    async def provider(call: Call[Prompt]) -> None:
        for each in (reply, TEXT, DONE):
            with contextlib.suppress(Broken, RuntimeError):
                await call.send(each)

    with pytest.raises(Broken, match=r"^the provider sent a "):
        await ask(provider, send=heard.take)

    assert (heard.deltas, heard.completed) == ([], None)


async def test_the_most_that_is_billed_passes() -> None:
    """And text of any script."""
    reply = done(usage=Usage(uncached_input=MAX_TOKENS, output=MAX_TOKENS))

    heard = await ask(saying(Delta("Grüße 😀"), reply))

    assert heard.text == "Grüße 😀"
    assert heard.completed is reply


@pytest.mark.parametrize("usage", [None, Usage(output=-5), Usage(output=cast("int", 0.5))], ids=repr)
@pytest.mark.parametrize("last", [DONE, ValueError("odd")], ids=["whole", "broken"])
async def test_what_it_notes_of_its_use_and_no_use_can_be_is_forgotten(
    last: Reply | BaseException, usage: Usage | None
) -> None:
    """By the time that the attempt is charged."""
    attempt = Attempt(model="m", started_at=0.0)
    noted: list[tuple[Usage, int]] = []

    async def send(_: Reply) -> None:
        noted.append((attempt.usage, attempt.bytes_unsaid))

    async def provider(call: Call[Prompt]) -> None:
        assert call.request.attempt is attempt
        attempt.usage, attempt.bytes_unsaid = cast("Usage", usage), cast("int", "odd")
        await saying(last)(call)

    call = asking(send)
    with contextlib.suppress(Broken):
        await Foreign(provider, LOG)(replace(call, request=replace(call.request, attempt=attempt)))
    noted.append((attempt.usage, attempt.bytes_unsaid))

    assert set(noted) == {(Usage(), 0)}


async def test_an_end_without_an_answer_is_a_failure() -> None:
    """Whatever was said before."""
    with pytest.raises(Broken, match="ended before its answer did"):
        await ask(saying(TEXT))


@ENDINGS
@pytest.mark.parametrize("replies", [(), (TEXT,), (TEXT, DONE)], ids=["at once", "later", "at its end"])
def test_a_cancellation_passes(replies: tuple[Reply, ...], ending: Ending, caplog: pytest.LogCaptureFixture) -> None:
    """A caller who leaves is nobody's failure, whatever the provider makes of it."""
    clock = VirtualClock()

    async def main() -> float:
        task = asyncio.ensure_future(ask(before_its_end(ending, *replies)))
        await asyncio.sleep(TIME_TO_END / 2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return clock.monotonic() - 1000.0

    assert virtual_time.run(clock, main()) <= 1.5 * TIME_TO_END + 0.01
    assert told(caplog) == []


@ENDINGS
@pytest.mark.parametrize(
    ("replies", "reason"), [((), "first_token_timeout"), ((TEXT,), "idle_timeout")], ids=["at once", "later"]
)
def test_its_time_is_up_whatever_it_makes_of_it(replies: tuple[Reply, ...], reason: str, ending: Ending) -> None:
    """The failure is the timeout, and no cancellation is left over."""
    clock = VirtualClock()
    foreign = Foreign(before_its_end(ending, *replies), LOG)
    timed = Timed(foreign, timeouts=Timeouts(first_token=20.0, idle=15.0), clock=clock)

    async def main() -> int:
        with pytest.raises(TimedOut) as raised:
            await timed(asking(Heard().take))
        assert raised.value.reason == reason
        return cancelling()

    assert virtual_time.run(clock, main()) == 0


@ENDINGS
def test_whoever_lingers_after_its_answer_is_cancelled(ending: Ending, caplog: pytest.LogCaptureFixture) -> None:
    """The answer is whole, and its caller waits no longer than that."""
    clock = VirtualClock()

    heard = virtual_time.run(clock, ask(before_its_end(ending, TEXT, DONE)))

    assert heard.completed is DONE
    assert clock.monotonic() - 1000.0 <= 2 * TIME_TO_END + 0.01
    assert told(caplog) == [
        {"model": "m", "error": "the provider went on for 1 s after its answer", "request_id": "r1"}
    ]


@ENDINGS
def test_time_that_is_up_after_the_answer_is_no_failure(ending: Ending) -> None:
    """Though the provider has not ended yet."""
    clock = VirtualClock()
    foreign = Foreign(before_its_end(ending, TEXT, DONE), LOG)
    heard = Heard()

    async def main() -> int:
        await Timed(foreign, timeouts=Timeouts(total=TIME_TO_END / 2), clock=clock)(asking(heard.take))
        return cancelling()

    assert virtual_time.run(clock, main()) == 0
    assert heard.completed is DONE


def test_one_of_which_too_many_calls_go_on_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its circuit opens over that."""
    monkeypatch.setattr(foreign_tasks, "MOST_LEFT", 1)
    clock = VirtualClock()
    foreign = Foreign(before_its_end(goes_on), LOG)

    async def main() -> None:
        task = asyncio.ensure_future(foreign(asking(Heard().take)))
        await asyncio.sleep(1.0)
        task.cancel()
        await asyncio.wait({task})
        with pytest.raises(Broken, match="go on though they are over"):
            await foreign(asking(Heard().take))

    virtual_time.run(clock, main())


async def test_what_it_does_to_its_own_task_is_a_failure_of_the_model() -> None:
    """Libraries are known that cancel the task they run in and do not take it back."""

    async def provider(_: Call[Prompt]) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError as error:
            raise TimeoutError from error

    with pytest.raises(Broken, match="TimeoutError"):
        await ask(provider)

    assert cancelling() == 0


async def test_nothing_is_sent_once_the_attempt_is_over() -> None:
    """What the provider left behind is told so; its text would be mixed into another model's answer."""
    heard = Heard()
    told_so: list[str] = []
    left: list[asyncio.Task[None]] = []

    async def provider(call: Call[Prompt]) -> None:
        async def goes_on() -> None:
            await asyncio.sleep(0.01)
            try:
                await call.send(TEXT)
            except RuntimeError as error:
                told_so.append(str(error))

        left.append(asyncio.create_task(goes_on()))
        raise ValueError("odd")

    with pytest.raises(Broken):
        await ask(provider, send=heard.take)
    await left[0]

    assert told_so == ["the attempt is over: nobody waits for its answer any more"]
    assert heard.deltas == []


@pytest.mark.parametrize("more", [TEXT, DONE], ids=["text", "an end"])
async def test_nothing_is_sent_after_the_answer_is_complete(more: Reply, caplog: pytest.LogCaptureFixture) -> None:
    """The provider is told, and so is the log if it does not care."""
    heard = await ask(saying(TEXT, DONE, more))

    assert heard.deltas == ["text"]
    assert heard.completed is DONE
    assert told(caplog) == [{"model": "m", "error": "RuntimeError: the answer is complete already", "request_id": "r1"}]


async def test_a_provider_may_see_that_it_is_told() -> None:
    """What it catches is its own affair."""
    seen: list[str] = []

    async def provider(call: Call[Prompt]) -> None:
        await call.send(DONE)
        try:
            await call.send(TEXT)
        except RuntimeError as error:
            seen.append(str(error))

    heard = await ask(provider)

    assert heard.completed is DONE
    assert seen == ["the answer is complete already"]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValueError("odd"), "ValueError: odd"),
        (SystemExit(3), "SystemExit: 3"),
        (CoolingDown("429 of a\nkind"), "429 of a kind"),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_what_it_raises_after_its_answer_is_only_logged(
    error: BaseException, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The answer is whole and paid for."""
    heard = await ask(saying(TEXT, DONE, error))

    assert heard.completed is DONE
    assert told(caplog) == [{"model": "m", "error": words, "request_id": "r1"}]


async def test_the_log_is_told_in_few_words(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever the exception has to say."""
    await ask(saying(DONE, ValueError("word " * 1000)))

    ((said,),) = [[fields["error"]] for fields in told(caplog)]
    assert len(str(said)) <= LONGEST_ACCOUNT


@pytest.mark.parametrize("reply", [TEXT, DONE], ids=["text", "the end"])
@pytest.mark.parametrize("then", [None, *WILD], ids=lambda error: type(error).__name__)
async def test_what_keeps_a_reply_from_being_sent_passes(reply: Reply, then: BaseException | None) -> None:
    """It is not the model's failure, whatever the provider makes of it."""
    error = Draining("going away")

    async def send(_: Reply) -> None:
        raise error

    async def provider(call: Call[Prompt]) -> None:
        try:
            await call.send(reply)
        except Draining:
            if then is not None:
                raise then from None

    with pytest.raises(Draining) as raised:
        await ask(provider, send=send)

    assert raised.value is error


@pytest.mark.parametrize("reply", [TEXT, DONE], ids=["text", "the end"])
async def test_a_reply_that_the_provider_broke_off_is_its_failure(reply: Reply) -> None:
    """Nobody else has cancelled anything; what the provider says of it stands, and nothing more passes."""
    failure = CoolingDown("429", retry_after=3.0)
    heard = Heard()

    async def send(sent: Reply) -> None:
        await asyncio.sleep(0)
        await heard.take(sent)

    def breaking_off(then: Reply | BaseException | None) -> Provider:
        async def provider(call: Call[Prompt]) -> None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.0):
                    await call.send(reply)
            if then is not None:
                await saying(then)(call)

        return provider

    with pytest.raises(CoolingDown) as raised:
        await ask(breaking_off(failure), send=send)
    with pytest.raises(Broken, match="ended before its answer did"):
        await ask(breaking_off(None), send=send)
    with pytest.raises(Broken, match="RuntimeError"):
        await ask(breaking_off(DONE), send=send)

    assert raised.value is failure
    assert (heard.deltas, heard.completed) == ([], None)


@ENDINGS
@pytest.mark.parametrize("reply", [TEXT, DONE], ids=["text", "the end"])
def test_whoever_lingers_after_a_reply_that_was_not_sent_is_cancelled(reply: Reply, ending: Ending) -> None:
    """There will be no answer to wait for."""
    clock = VirtualClock()

    async def send(_: Reply) -> None:
        raise Draining("going away")

    async def provider(call: Call[Prompt]) -> None:
        with contextlib.suppress(Draining):
            await call.send(reply)
        await ending()

    with pytest.raises(Draining):
        virtual_time.run(clock, ask(provider, send=send))

    assert clock.monotonic() - 1000.0 <= 2 * TIME_TO_END + 0.01


class Closing:
    """A provider that holds something open; closing it is up to a test."""

    def __init__(self, close: Callable[[], Any]) -> None:
        self.close = close

    async def __call__(self, call: Call[Prompt]) -> None:
        await saying(TEXT, DONE)(call)


async def test_it_is_closed_if_it_can_be(caplog: pytest.LogCaptureFixture) -> None:
    """Once, and the log has nothing to say."""
    closed: list[bool] = []

    async def close() -> None:
        closed.append(True)

    await Foreign(Closing(close), LOG).close()
    await Foreign(saying(DONE), LOG).close()

    assert closed == [True]
    assert told(caplog) == []


@pytest.mark.parametrize("error", WILD, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("is_async", [True, False])
async def test_whatever_its_close_raises_is_only_logged(
    error: BaseException, caplog: pytest.LogCaptureFixture, *, is_async: bool
) -> None:
    """It would end the event loop otherwise, and everybody's calls with it."""

    async def close() -> None:
        raise error

    def close_at_once() -> None:
        raise error

    await Foreign(Closing(close if is_async else close_at_once), LOG).close()

    [fields] = told(caplog, "a provider failed to close")
    assert fields["model"] == "m"
    assert type(error).__name__ in str(fields["error"])


async def test_a_close_that_is_no_coroutine_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """It was called all the same."""
    await Foreign(Closing(lambda: None), LOG).close()

    [fields] = told(caplog, "a provider failed to close")
    assert str(fields["error"]).startswith("TypeError: ")


@ENDINGS
@pytest.mark.parametrize("cancelled_after", [None, TIME_TO_END / 2])
def test_a_close_that_does_not_end_is_left(
    ending: Ending, cancelled_after: float | None, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever it makes of being cancelled, and whoever else cancels it: the daemon must end."""
    clock = VirtualClock()

    async def main() -> float:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(cancelled_after):
                await Foreign(Closing(ending), LOG).close()
        return clock.monotonic() - 1000.0

    assert virtual_time.run(clock, main()) <= 2 * TIME_TO_END + 0.01
    assert told(caplog, "a provider failed to close") == [{"model": "m", "error": "its close() went on for too long"}]
