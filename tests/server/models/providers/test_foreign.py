"""What somebody else's provider does, by mistake too, is a failure of the model and of nobody else."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from msgspec.structs import replace

from fakes.clock import FakeClock
from fakes.prompts import Heard, model_call, prompt
from fakes.scripted_model import ScriptedModel
from penstockd.call import Call, Completed, Delta, Reply
from penstockd.errors import Draining
from penstockd.log import Log
from penstockd.model import Prompt
from penstockd.models.providers.foreign import Foreign
from penstockd.outcome import FinishReason
from penstockd.upstream import LONGEST_ACCOUNT, PROVIDER_ERROR, Broken, CoolingDown

Provider = Callable[[Call[Prompt]], Awaitable[None]]

DONE = Completed(finish_reason=FinishReason.STOP)
TEXT = Delta("text")


class Quit(BaseException):
    """What a library might end its own work with."""


WILD = [ValueError("odd"), Quit("odd"), SystemExit(3), KeyboardInterrupt(), GeneratorExit()]


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
    request = replace(prompt(), model=ScriptedModel("m", clock=FakeClock()).model)
    call = model_call(request, send or heard.take)
    call.outcome.request_id = "r1"
    await Foreign(provider, Log("test"))(call)
    return heard


def told(caplog: pytest.LogCaptureFixture) -> list[dict[str, object]]:
    """What the log was told."""
    assert {record.levelname for record in caplog.records} <= {"WARNING"}
    assert {record.getMessage() for record in caplog.records} <= {"a provider failed after its answer"}
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


async def test_an_end_without_an_answer_is_a_failure() -> None:
    """Whatever was said before."""
    with pytest.raises(Broken, match="ended before its answer did"):
        await ask(saying(TEXT))


async def test_a_cancellation_passes() -> None:
    """A caller who leaves is nobody's failure."""
    with pytest.raises(asyncio.CancelledError):
        await ask(saying(asyncio.CancelledError()))


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
