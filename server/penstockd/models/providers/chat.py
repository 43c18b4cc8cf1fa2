"""Answers prompts by asking an upstream over HTTP."""

from collections.abc import Iterable
from typing import NoReturn

from penstockd.call import Call, Completed, Delta
from penstockd.clock import Clock
from penstockd.model import Prompt
from penstockd.models.providers.complaint import MAX_MESSAGE, MOST_READ
from penstockd.models.providers.dialect import Dialect, Progress, size
from penstockd.models.providers.halves import Halves
from penstockd.models.providers.refusal import refusal, refusal_told
from penstockd.models.providers.sse import MAX_EVENT, ErrorEvent, EventStream
from penstockd.models.providers.wire import MAX_BODY, Exchange, Wire
from penstockd.outcome import FinishReason
from penstockd.upstream import UNBILLED, Broken, UpstreamFailure


class Chat:
    """A provider that speaks one dialect over one wire; the first of the answer's bytes that is no answer ends it."""

    def __init__(self, dialect: Dialect, wire: Wire, clock: Clock) -> None:
        self._dialect = dialect
        self._wire = wire
        self._clock = clock
        self._model = self._masked_model = ""

    @property
    def is_current(self) -> bool:
        """Whether those whom its wire trusts are still in the same file; raises OSError if that is none any more."""
        return self._wire.is_current

    async def close(self) -> None:
        """Close every connection."""
        await self._wire.close()

    async def __call__(self, call: Call[Prompt]) -> None:
        """Send the answer to `call`'s prompt as `Delta* Completed`, or raise a failure of penstockd.upstream."""
        prompt = call.request
        try:
            exchange = Exchange(await self._wire.post(self._dialect.request(prompt), prompt.attempt))
            try:
                if exchange.status != 200 or exchange.is_encoded:
                    await self._refuse(exchange)
                if prompt.streams and not await exchange.is_whole():
                    await self._relay_stream(call, exchange)
                else:
                    await self._relay_whole(call, exchange)
            finally:
                exchange.close()
        except UpstreamFailure as failure:
            # First masked, then cut: a secret of which a part is left would not be known for one.
            failure.message = self._wire.masked(failure.message)[:MAX_MESSAGE]
            failure.args = (failure.message,)
            raise

    async def _refuse(self, exchange: Exchange) -> NoReturn:
        if exchange.status == 200:
            raise Broken("the answer is compressed, which was not asked for", reason="malformed")
        body = b"" if exchange.is_encoded else await exchange.excerpt()
        raise refusal(exchange.status, exchange.headers, body, path=self._wire.path, now=self._clock.wall())

    async def _relay_whole(self, call: Call[Prompt], exchange: Exchange) -> None:
        answer = Progress()
        halves = Halves()
        text: str | None = None
        try:
            text = self._read(await exchange.body(), halves, answer)
            completed = _completed(answer, halves)
        except BaseException as failure:
            # What ended badly is not handed on; but it was said. Of an answer that nobody can read, as it was cut or
            # does not fit, all that is known is its length.
            if text is not None:
                answer.bytes_unsaid += size(text)
            elif not answer.is_counted and not _tells_what_was_said(failure):
                answer.bytes_unsaid = exchange.received
            raise
        finally:
            self._note(call.request, answer)
        if text:
            await call.send(Delta(text))
        await call.send(completed)

    def _read(self, body: bytes, halves: Halves, answer: Progress) -> str:
        try:
            return self._dialect.read(body, answer)
        except Broken:
            # Half a character cannot be decoded, and to look for one before would cost every answer. What is longer
            # than any event was not cut by length, and would hold up everybody else.
            if len(body) > MAX_EVENT:
                raise
            without = halves.joined(body)
            if not halves.is_open:
                raise
            return self._dialect.read(without, answer)

    async def _relay_stream(self, call: Call[Prompt], exchange: Exchange) -> None:
        """Relay what arrives as it arrives: one read becomes one Delta, or a sign that the model is at work."""
        answer = Progress()
        stream = EventStream()
        halves = Halves()
        said = 0
        while not answer.is_whole:
            chunk = await exchange.read()
            if not chunk:
                raise Broken("the stream ended before its last event", reason="truncated")
            unsaid = answer.bytes_unsaid
            text = self._read_events(call.request, stream.feed(chunk), halves, answer)
            # Only text is kept by those who wait for the end; what is around it may be many times as long.
            said += len(text)
            if said > MAX_BODY:
                raise Broken(f"the answer is longer than {MAX_BODY} characters", reason="malformed")
            if text:
                await call.send(Delta(text))
            elif answer.bytes_unsaid > unsaid:
                call.request.thought()
        await call.send(_completed(answer, halves))
        exchange.finish()

    def _read_events(self, prompt: Prompt, events: Iterable[bytes], halves: Halves, answer: Progress) -> str:
        pieces = []
        try:
            for event in events:
                if isinstance(event, ErrorEvent):
                    raise self._failure(event, answer)
                text = self._dialect.read_event(halves.joined(event), answer)
                pieces.append(text)
                if text and halves.is_parted:
                    raise _half_a_character()
                if answer.is_whole:
                    break
        except UpstreamFailure:
            # What came just before an error is not handed on, so that another model may answer; but it was said.
            answer.bytes_unsaid += sum(map(size, pieces))
            raise
        finally:
            self._note(prompt, answer)
        return "".join(pieces)

    def _failure(self, event: ErrorEvent, answer: Progress) -> UpstreamFailure:
        """What an error is that only its event's name may tell: the dialect knows more, such as what was used."""
        try:
            answer.bytes_unsaid += size(self._dialect.read_event(event, answer))
        except UpstreamFailure as failure:
            if failure.reason != "malformed":
                return failure
        return refusal_told(event)

    def _note(self, prompt: Prompt, answer: Progress) -> None:
        attempt, model = prompt.attempt, answer.model
        attempt.usage = answer.usage
        attempt.is_counted = answer.is_counted
        attempt.bytes_unsaid = answer.bytes_unsaid
        if isinstance(model, str):
            # As a rule it is the one of last time.
            if model != self._model:
                self._model = model[:MOST_READ]
                self._masked_model = self._wire.masked(self._model)
            attempt.response_model = self._masked_model


def _tells_what_was_said(failure: BaseException) -> bool:
    """Whether it says itself why nothing was: an error in the answer's place, or an ending without a text."""
    if isinstance(failure, Broken):
        return failure.reason in UNBILLED
    return isinstance(failure, UpstreamFailure)


def _completed(answer: Progress, halves: Halves) -> Completed:
    reason = answer.finish_reason()
    # Where length cut it, there was no room for the second half: all before it is good.
    if halves.is_open and reason is not FinishReason.LENGTH:
        raise _half_a_character()
    return Completed(finish_reason=reason, usage=answer.usage, is_counted=answer.is_counted)


def _half_a_character() -> Broken:
    return Broken("a character ends after its first half", reason="malformed")
