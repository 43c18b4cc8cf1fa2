"""Both providers answer whole and streamed, say what they used, and never take a broken answer for a whole one."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress

import msgspec
import pytest

from fakes.asking import Heard, ask
from fakes.providers import OPENAI, Kind, Provide
from fakes.upstream import (
    CLOSE,
    HANG,
    LAST_CHUNK,
    RESET,
    STREAM_HEAD,
    Step,
    Upstream,
    Wait,
    chunk,
    head,
    response,
    stream,
)
from penstockd.models.providers.chat import Chat
from penstockd.models.providers.complaint import MAX_MESSAGE
from penstockd.models.providers.sse import MAX_EVENT
from penstockd.models.providers.wire import MAX_BODY
from penstockd.outcome import FinishReason
from penstockd.upstream import Broken, Filtered, ToolCalled, UpstreamFailure
from penstockd.usage import Usage

PIECES = ("Grüße ", "an 😀", " alle\r\n\u2028\x00")
TEXT = "".join(PIECES)
ENDED = b'{"message": "engine died", "type": "server_error"}'
"""What may come as the data of an event whose name alone says that it is an error."""


async def failed(provider: Chat, heard: Heard | None = None, *, streams: bool = True) -> UpstreamFailure:
    """Ask, and return the failure that must come of it."""
    with pytest.raises(UpstreamFailure) as failure:
        await ask(provider, streams=streams, heard=heard)
    return failure.value


async def test_a_whole_answer(kind: Kind, upstream: Upstream, provide: Provide) -> None:
    """A unary answer is one Delta and Completed, with usage in disjoint buckets."""
    upstream.answer(response(kind.answer(TEXT, kind.usage)))

    heard = await ask(provide(kind))

    assert heard.deltas == [TEXT]
    assert heard.completed is not None
    assert heard.completed.finish_reason is FinishReason.STOP
    assert heard.completed.usage == heard.attempt.usage == kind.usage


async def test_a_streamed_answer(kind: Kind, upstream: Upstream, provide: Provide) -> None:
    """A streamed answer is the same text, reason and usage."""
    upstream.answer(*stream(*kind.events(PIECES, kind.usage)))

    heard = await ask(provide(kind), streams=True)

    assert heard.text == TEXT
    assert heard.completed is not None
    assert heard.completed.finish_reason is FinishReason.STOP
    assert heard.completed.usage == heard.attempt.usage == kind.usage


async def test_what_arrives_together_travels_together(kind: Kind, upstream: Upstream, provide: Provide) -> None:
    """One read of the upstream becomes one Delta."""
    upstream.answer(STREAM_HEAD + chunk(b"".join(kind.events(PIECES))) + LAST_CHUNK)

    heard = await ask(provide(kind), streams=True)

    assert heard.deltas == [TEXT]


async def test_what_arrives_apart_travels_at_once(kind: Kind, upstream: Upstream, provide: Provide) -> None:
    """A token is handed on before the next one is there."""
    *first, second, third = [*kind.events(("a",))[:-2], *kind.events(("b",))[-2:]]
    gate = asyncio.Event()
    upstream.answer(STREAM_HEAD, chunk(b"".join(first)), gate, chunk(second), chunk(third), LAST_CHUNK)

    heard = Heard()
    asking = asyncio.ensure_future(ask(provide(kind), streams=True, heard=heard))
    await heard.started.wait()
    assert heard.deltas == ["a"]
    gate.set()
    await asking

    assert heard.completed is not None


async def test_a_path_that_is_not_known_is_told(kind: Kind, upstream: Upstream, provide: Provide) -> None:
    """A wrong base_url shows in what was asked; nothing else of the URL is told."""
    upstream.answer(response(b"<html>", 404))

    failure = await failed(provide(kind, base_url=f"{upstream.url}/v1%2F/chat?key=secret"))

    assert failure.message == f"HTTP 404 for {upstream.requests[0].path} (no reason given)"
    assert "secret" not in failure.message


@pytest.mark.parametrize(
    "sent",
    [
        {"api_key": "Sesame-open"},
        {"headers": {"x-tenant-token": "Sesame-open"}},
        {"headers": {"Authorization": "Token Sesame-open"}},
    ],
)
@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, {"message": "the key Sesame-open is odd"}),
        (422, {"message": "the key Sesame-\u200bopen is odd"}),
        (400, {"message": "the key Sesame-open is odd", "code": "context_length_exceeded"}),
        (400, {"message": "the key Sesame-open is odd", "type": "content_filter"}),
        (402, {"type": "Sesame-open"}),
        (404, {"code": "Sesame-open"}),
        (401, {"type": "Sesame-open"}),
        (500, {"code": "Sesame-open"}),
        (200, {"message": "the key Sesame-open is odd", "type": "invalid_request_error"}),
    ],
)
async def test_a_secret_that_an_upstream_says_back_goes_no_further(
    kind: Kind,
    upstream: Upstream,
    provide: Provide,
    *,
    sent: Mapping[str, str],
    status: int,
    error: Mapping[str, str],
) -> None:
    """To the caller, who is told of a rejection in the upstream's words, as little as to the log."""
    upstream.answer(response(msgspec.json.encode({"error": error}), status))

    failure = await failed(provide(kind, **sent), streams=False)

    assert "***" in failure.message
    assert "sesame" not in failure.account.lower()


async def test_what_lets_nobody_in_may_be_repeated(kind: Kind, upstream: Upstream, provide: Provide) -> None:
    """A message without its words would help nobody."""
    message = "production has no model of 2023-06-01"
    upstream.answer(response(msgspec.json.encode({"error": {"message": message}}), 400))

    failure = await failed(provide(kind, headers={"X-Team": "production", "X-Version": "2023-06-01"}), streams=False)

    assert failure.message == message


async def test_a_secret_within_a_stream_goes_no_further(kind: Kind, upstream: Upstream, provide: Provide) -> None:
    """An error that comes after a 200 is masked like one with a status of its own."""
    event = kind.error.replace(b"Overloaded", b"sesame-open is odd").replace(b"overloaded", b"invalid_request")
    upstream.answer(*stream(event))

    failure = await failed(provide(kind, api_key="sesame-open"))

    assert failure.message == str(failure) == "*** is odd"


async def test_a_secret_is_masked_before_a_message_is_cut(kind: Kind, upstream: Upstream, provide: Provide) -> None:
    """Or the beginning of one would be left, however long it is."""
    secret = "sesame-open" * 300
    upstream.answer(response(msgspec.json.encode({"error": {"message": f"{'x' * 290} {secret}"}}), 400))

    failure = await failed(provide(kind, api_key=secret), streams=False)

    assert failure.message == f"{'x' * 290} ***"


async def test_a_long_message_is_cut(kind: Kind, upstream: Upstream, provide: Provide) -> None:
    """Its beginning says enough."""
    upstream.answer(response(msgspec.json.encode({"error": {"message": "x" * 1000}}), 400))

    assert (await failed(provide(kind), streams=False)).message == "x" * MAX_MESSAGE


@pytest.mark.parametrize("secret", ["sesame@open", "cHJveHk6c2VzYW1lQG9wZW4="])
async def test_a_proxys_credentials_go_no_further(upstream: Upstream, provide: Provide, secret: str) -> None:
    """Neither as they are written in its URL, nor as they are sent."""
    upstream.answer(response(msgspec.json.encode({"error": {"message": f"{secret} is odd"}}), 400))
    proxy = upstream.url.replace("://", "://proxy:sesame%40open@")

    failure = await failed(provide(OPENAI, base_url="http://llm.internal", proxy=proxy), streams=False)

    assert failure.message == "*** is odd"


@pytest.mark.parametrize("streams", [False, True])
async def test_an_empty_answer_is_only_completed(
    kind: Kind, upstream: Upstream, provide: Provide, *, streams: bool
) -> None:
    """Empty and role-only deltas are no content."""
    upstream.answer(*(stream(*kind.events(("", ""))) if streams else [response(kind.answer(""))]))

    heard = await ask(provide(kind), streams=streams)

    assert heard.deltas == []
    assert heard.completed is not None


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "text/json", "text/event-stream", ""])
@pytest.mark.parametrize("before", [(), (b" \n",), (b"\xef", b"\xbb\xbf"), (b" " * (MAX_EVENT + 1),)])
async def test_a_server_that_does_not_stream_still_answers(
    kind: Kind, upstream: Upstream, provide: Provide, content_type: str, before: tuple[bytes, ...]
) -> None:
    """JSON in answer to a request for a stream is read as the whole answer that it is, whatever it is said to be."""
    begun = head(content_type=content_type, transfer_encoding="chunked")
    upstream.answer(begun, *map(chunk, before), chunk(kind.answer(TEXT)), LAST_CHUNK)

    assert (await ask(provide(kind), streams=True)).deltas == [TEXT]


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", ""])
async def test_a_stream_is_one_whatever_it_is_said_to_be(
    kind: Kind, upstream: Upstream, provide: Provide, content_type: str
) -> None:
    """Its beginning tells; each piece is handed on as it arrives."""
    begun = head(content_type=content_type, transfer_encoding="chunked")
    *first, second, third = [*kind.events(("a",))[:-2], *kind.events(("b",))[-2:]]
    gate = asyncio.Event()
    upstream.answer(begun, *map(chunk, [b"\n", *first]), gate, chunk(second), chunk(third), LAST_CHUNK)

    heard = Heard()
    asking = asyncio.ensure_future(ask(provide(kind), streams=True, heard=heard))
    await heard.started.wait()
    assert heard.deltas == ["a"]
    gate.set()
    await asking

    assert heard.completed is not None


async def test_blanks_without_end_are_malformed(kind: Kind, upstream: Upstream, provide: Provide) -> None:
    """What is waited for has to begin some time; they are nothing that a model said."""
    upstream.answer(STREAM_HEAD, *[chunk(b" " * (1 << 20))] * 17, HANG)
    heard = Heard()

    assert (await failed(provide(kind), heard)).reason == "malformed"
    assert heard.attempt.bytes_unsaid == 0


@pytest.mark.parametrize("blanks", [b"", b"\xef\xbb\xbf", b"\n "])
@pytest.mark.parametrize("pause", [(), (Wait(0.05),)])
async def test_what_arrived_of_an_answer_in_one_piece_is_known_though_no_read_succeeded(
    kind: Kind, upstream: Upstream, provide: Provide, pause: tuple[Step, ...], blanks: bytes
) -> None:
    """To a request for a stream too, where what is no HTTP came with it."""
    answer = blanks + kind.answer(TEXT)[:50]
    begun = head(content_type="application/json", transfer_encoding="chunked")
    upstream.answer(begun, *pause, chunk(answer) + b"ZZ\r\n", HANG)
    heard = Heard()

    assert (await failed(provide(kind), heard)).reason == "malformed"
    assert heard.attempt.bytes_unsaid == len(answer)


async def test_what_arrived_of_a_stream_of_which_no_read_succeeded_is_no_answer(
    kind: Kind, upstream: Upstream, provide: Provide
) -> None:
    """Nobody has read how much of it was said."""
    upstream.answer(STREAM_HEAD, Wait(0.05), chunk(kind.events(PIECES)[0]) + b"ZZ\r\n", HANG)
    heard = Heard()

    assert (await failed(provide(kind), heard)).reason == "malformed"
    assert heard.attempt.bytes_unsaid == 0


async def test_a_list_is_no_answer_and_nothing_that_a_model_said(
    kind: Kind, upstream: Upstream, provide: Provide
) -> None:
    """It is neither dialect's; where a stream was asked for it is no event."""
    upstream.answer(response(msgspec.json.encode([{"text": TEXT}])))
    heard = Heard()

    assert (await failed(provide(kind), heard)).reason in ("malformed", "truncated")
    assert heard.attempt.bytes_unsaid == 0


async def test_a_byte_order_mark_before_a_whole_answer_does_not_matter(
    kind: Kind, upstream: Upstream, provide: Provide
) -> None:
    """Some servers send one."""
    upstream.answer(response(b"\xef\xbb\xbf" + kind.answer(TEXT)))

    assert (await ask(provide(kind))).text == TEXT


async def test_a_character_that_is_cut_between_two_events_is_one(
    kind: Kind, upstream: Upstream, provide: Provide
) -> None:
    """Servers in JavaScript may cut a text within one."""
    events = [
        event.replace(b"<", b"\\ud83d").replace(b">", b"\\ude00")
        for event in kind.events(("a<", ">b", "<>", "<", ">c"))
    ]
    upstream.answer(*stream(*events))

    assert (await ask(provide(kind), streams=True)).text == "a😀b😀😀c"


@pytest.mark.parametrize("named", [False, True])
async def test_an_error_after_half_a_character_is_that_error(
    kind: Kind, upstream: Upstream, provide: Provide, *, named: bool
) -> None:
    """It says why the other half is missing."""
    events = [event.replace(b"<", b"\\ud83d") for event in kind.events(("a<",))[:-2]]
    if kind.name == "anthropic":
        events = [event for event in events if b"block_stop" not in event]
    upstream.answer(*stream(*events, b"event: error\ndata: " + ENDED + b"\n\n" if named else kind.error))

    assert (await failed(provide(kind))).reason == "stream_error"


def halved(*events: bytes) -> list[bytes]:
    """These events, with a first half for each < and a second one for each >."""
    return [event.replace(b"<", b"\\ud83d").replace(b">", b"\\ude00") for event in events]


async def test_half_a_character_is_malformed(kind: Kind, upstream: Upstream, provide: Provide) -> None:
    """In the middle as at the end: it is not left out."""
    for pieces in (("a<", "b"), ("a<",), (">b",), ("a<", "", "b"), ("<", "<", ">"), ("<", "b", ">"), ("<", "b>")):
        upstream.answer(*stream(*halved(*kind.events(pieces))))

        assert (await failed(provide(kind))).reason == "malformed"


@pytest.mark.parametrize("apart", [False, True])
async def test_what_has_no_text_may_come_between_two_halves(
    kind: Kind, upstream: Upstream, provide: Provide, *, apart: bool
) -> None:
    """Empty pieces, signs of life and counts; in one read or in several."""
    events = halved(*kind.events(("a<", "", ">b")))
    at = next(at for at, event in enumerate(events) if b"ude00" in event)
    events[at:at] = [b'data: {"type": "ping"}\n\n', b'data: {"choices": []}\n\n']
    upstream.answer(*(stream(*events) if apart else stream(b"".join(events))))

    assert (await ask(provide(kind), streams=True)).text == "a😀b"


@pytest.mark.parametrize("ending", ["length", "max_tokens"])
@pytest.mark.parametrize("streams", [False, True])
async def test_half_a_character_at_the_end_of_an_answer_that_is_cut_by_length_is_left_out(
    kind: Kind, upstream: Upstream, provide: Provide, *, ending: str, streams: bool
) -> None:
    """There was no room for the other half; all else is good."""
    events = halved(*kind.events(("a", "<", ""), kind.usage, ending))
    body = halved(kind.answer("a<", kind.usage, ending))[0]
    upstream.answer(*(stream(*events) if streams else [response(body)]))

    heard = await ask(provide(kind), streams=streams)

    assert heard.text == "a"
    assert heard.completed is not None
    assert heard.completed.finish_reason is FinishReason.LENGTH
    assert heard.attempt.usage == kind.usage


@pytest.mark.parametrize("ending", ["stop", "end_turn"])
async def test_half_a_character_in_a_whole_answer_is_malformed(
    kind: Kind, upstream: Upstream, provide: Provide, ending: str
) -> None:
    """An answer that ended by itself ends with a whole one, and none is cut in the middle, whatever ended it."""
    body = halved(kind.answer("a<", None, ending))[0]
    upstream.answer(response(body))
    upstream.answer(response(halved(kind.answer("a<b", None, "length"))[0]))
    heard = Heard()

    assert (await failed(provide(kind), heard, streams=False)).reason == "malformed"
    assert heard.attempt.bytes_unsaid > 0
    assert (await failed(provide(kind), streams=False)).reason == "malformed"


@pytest.mark.parametrize(
    ("ending", "outcome"),
    [
        ("stop", FinishReason.STOP),
        ("stop_sequence", FinishReason.STOP),
        ("end_turn", FinishReason.STOP),
        ("length", FinishReason.LENGTH),
        ("max_tokens", FinishReason.LENGTH),
        ("model_context_window_exceeded", FinishReason.LENGTH),
        ("model_length", FinishReason.LENGTH),
        ("content_filter", Filtered),
        ("content_filter: PROHIBITED_CONTENT", Filtered),
        ("content_filtered", Filtered),
        ("refusal", Filtered),
        ("sensitive", Filtered),
        ("guardrail_intervened", Filtered),
        ("SAFETY", Filtered),
        ("RECITATION", Filtered),
        ("BLOCKLIST", Filtered),
        ("PROHIBITED_CONTENT", Filtered),
        ("SPII", Filtered),
        ("MODEL_ARMOR", Filtered),
        ("STOP", FinishReason.STOP),
        ("MAX_TOKENS", FinishReason.LENGTH),
        ("tool_calls", ToolCalled),
        ("function_call", ToolCalled),
        ("tool_use", ToolCalled),
        ("pause_turn", ToolCalled),
        ("news", Broken),
    ],
)
@pytest.mark.parametrize("streams", [False, True])
async def test_why_an_answer_ended(
    kind: Kind,
    upstream: Upstream,
    provide: Provide,
    *,
    streams: bool,
    ending: str,
    outcome: FinishReason | type[UpstreamFailure],
) -> None:
    """Ends we asked for are a finish reason, a filter is a failure, and what we never ask for is no answer."""
    events = kind.events(("a",), kind.usage, ending)
    upstream.answer(*(stream(*events) if streams else [response(kind.answer("a", kind.usage, ending))]))
    heard = Heard()

    if isinstance(outcome, FinishReason):
        await ask(provide(kind), streams=streams, heard=heard)
        assert heard.completed is not None
        assert heard.completed.finish_reason is outcome
    else:
        assert type(await failed(provide(kind), heard, streams=streams)) is outcome
    assert (heard.attempt.usage, heard.attempt.is_counted) == (kind.usage, True)


async def test_only_a_count_that_comes_with_the_end_is_of_the_whole_answer(
    kind: Kind, upstream: Upstream, provide: Provide
) -> None:
    """Wherever a stream is cut, what was counted until then is not taken for all, and is after that."""
    events = kind.events(PIECES, kind.usage)
    ends_at = max(at for at, event in enumerate(events) if b'"usage"' in event)
    for sent in range(len(events)):
        upstream.answer(*stream(*events[:sent]))
        heard = Heard()

        await failed(provide(kind), heard)

        assert heard.attempt.is_counted == (sent > ends_at)


async def test_a_count_in_one_piece_with_the_answer_is_of_all_of_it(
    kind: Kind, upstream: Upstream, provide: Provide
) -> None:
    """Even if it does not say why it ended."""
    upstream.answer(response(kind.answer("a", kind.usage, "why").replace(b'"why"', b"null")))
    heard = Heard()

    failure = await failed(provide(kind), heard, streams=False)

    assert failure.reason == "truncated"
    assert (heard.attempt.usage, heard.attempt.is_counted) == (kind.usage, True)


@pytest.mark.parametrize("streams", [False, True])
async def test_a_whole_answer_says_whether_all_of_it_was_counted(
    kind: Kind, upstream: Upstream, provide: Provide, *, streams: bool
) -> None:
    """It is charged by what it says."""
    for usage in (kind.usage, None):
        events = kind.events(PIECES, usage)
        upstream.answer(*(stream(*events) if streams else [response(kind.answer(TEXT, usage))]))

        heard = await ask(provide(kind), streams=streams)

        assert heard.completed is not None
        assert heard.completed.is_counted == (usage is not None)


@pytest.mark.parametrize("ending", ["content_filter", "tool_calls", "why"])
async def test_the_text_of_an_answer_that_ended_badly_is_known_though_nobody_is_shown_it(
    kind: Kind, upstream: Upstream, provide: Provide, ending: str
) -> None:
    """In one piece it is as long as in a stream."""
    upstream.answer(response(kind.answer("ü€", None, ending)))
    upstream.answer(*stream(*kind.events(("ü€",), None, ending)))
    whole, streamed = Heard(), Heard()

    await failed(provide(kind), whole, streams=False)
    await failed(provide(kind), streamed)

    assert (whole.text, whole.attempt.bytes_unsaid) == ("", 5)
    assert (len(streamed.text.encode()) + streamed.attempt.bytes_unsaid) == 5


@pytest.mark.parametrize("pause", [(), (Wait(0.05),)])
async def test_how_much_came_of_an_answer_in_one_piece_is_known_though_it_was_cut(
    kind: Kind, upstream: Upstream, provide: Provide, pause: tuple[Step, ...]
) -> None:
    """What came had been made, and is billed."""
    whole = response(kind.answer(TEXT, kind.usage))
    missing = 10
    upstream.answer(whole[:-missing], *pause, CLOSE)
    heard = Heard()

    failure = await failed(provide(kind), heard, streams=False)

    assert failure.reason == "truncated"
    assert heard.attempt.bytes_unsaid == len(kind.answer(TEXT, kind.usage)) - missing


@pytest.mark.parametrize(
    "body",
    [
        {"choices": [{"message": {"content": {"text": TEXT}}}], "content": TEXT},
        {"choices": [{"message": {"content": TEXT}, "finish_reason": 7}], "content": [], "stop_reason": 7},
        {"choices": [{"delta": {"content": TEXT}, "finish_reason": "stop"}], "stop_reason": "end_turn"},
        {},
    ],
    ids=["another text", "another ending", "no message", "nothing"],
)
async def test_how_much_came_of_an_answer_that_does_not_fit_is_known(
    kind: Kind, upstream: Upstream, provide: Provide, body: Mapping[str, object]
) -> None:
    """Whatever is in it was made, and is billed."""
    encoded = msgspec.json.encode(body)
    upstream.answer(response(encoded))
    heard = Heard()

    failure = await failed(provide(kind), heard, streams=False)

    assert failure.reason == "malformed"
    assert heard.attempt.bytes_unsaid == len(encoded)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"error": {"message": "Overloaded", "type": "overloaded_error"}}, "stream_error"),
        ({"error": {"message": "slow down", "type": "rate_limit_error"}}, "rate_limited"),
        ({"error": {"message": "no", "type": "content_filter"}}, "content_filter"),
        ({"choices": [{"finish_reason": "content_filter"}], "stop_reason": "refusal"}, "content_filter"),
        ({"choices": [{"finish_reason": "tool_calls"}], "stop_reason": "tool_use"}, "tool_call"),
    ],
)
async def test_what_says_that_nothing_was_made_has_made_nothing(
    kind: Kind, upstream: Upstream, provide: Provide, body: Mapping[str, object], reason: str
) -> None:
    """However long it is: it costs no more than an HTTP error would."""
    upstream.answer(response(msgspec.json.encode(body)))
    heard = Heard()

    failure = await failed(provide(kind), heard, streams=False)

    assert failure.reason == reason
    assert heard.attempt.bytes_unsaid == 0


async def test_an_answer_without_a_message_that_was_counted_is_not_measured(
    kind: Kind, upstream: Upstream, provide: Provide
) -> None:
    """What its provider counted is exact."""
    body = msgspec.json.decode(kind.answer("", kind.usage))
    without = {name: value for name, value in body.items() if name not in ("choices", "content")}
    upstream.answer(response(msgspec.json.encode(without)))
    heard = Heard()

    failure = await failed(provide(kind), heard, streams=False)

    assert failure.reason == "malformed"
    assert (heard.attempt.usage, heard.attempt.is_counted, heard.attempt.bytes_unsaid) == (kind.usage, True, 0)


@pytest.mark.parametrize("usage", [Usage(), None])
async def test_usage_may_be_zero_or_missing(
    kind: Kind, upstream: Upstream, provide: Provide, usage: Usage | None
) -> None:
    """A provider that counts nothing is not broken for it."""
    upstream.answer(*stream(*kind.events(PIECES, usage)))
    upstream.answer(response(kind.answer(TEXT, usage)))

    for streams in (True, False):
        heard = await ask(provide(kind), streams=streams)
        assert heard.text == TEXT
        assert heard.attempt.usage == Usage()


async def test_a_stream_cut_at_any_byte_is_never_a_short_success(
    kind: Kind, upstream: Upstream, provide: Provide
) -> None:
    """At each offset of a recorded stream that ends there, the text is whole or a failure says that it is not."""
    recorded = b"".join(kind.events(PIECES, kind.usage))
    provider = provide(kind)
    for offset in range(len(recorded)):
        upstream.answer(STREAM_HEAD + chunk(recorded[:offset]) * bool(offset) + LAST_CHUNK)
        heard = Heard()

        failure = await failed(provider, heard)

        assert failure.reason == "truncated"
        assert TEXT.startswith(heard.text)
        assert heard.completed is None

    assert upstream.calls == len(recorded)


@pytest.mark.parametrize("end", [CLOSE, RESET])
async def test_a_connection_cut_at_any_byte_is_never_a_short_success(
    kind: Kind, upstream: Upstream, provide: Provide, end: Step
) -> None:
    """At each offset of a whole HTTP response, head and chunks included, the same."""
    recorded = b"".join(stream(*kind.events(("a", "b"), kind.usage)))
    provider = provide(kind)
    for offset in range(len(recorded) - len(LAST_CHUNK)):
        upstream.answer(recorded[:offset], end)
        heard = Heard()

        if kind.last.rstrip() not in recorded[:offset]:
            failure = await failed(provider, heard)
            assert failure.reason in ("truncated", "connection_reset", "malformed")
        else:
            with suppress(Broken):
                await ask(provider, streams=True, heard=heard)

        assert "ab".startswith(heard.text)
        assert heard.completed is None or heard.text == "ab"


async def test_single_bytes_are_the_same_answer(kind: Kind, upstream: Upstream, provide: Provide) -> None:
    """A stream that arrives byte by byte, characters cut in two, is the same text."""
    recorded = b"".join(kind.events(PIECES, kind.usage))
    upstream.answer(*stream(*(bytes([byte]) for byte in recorded)))

    heard = await ask(provide(kind), streams=True)

    assert heard.text == TEXT
    assert heard.attempt.usage == kind.usage


@pytest.mark.parametrize("line_end", [b"\r\n", b"\r"])
async def test_line_ends_and_comments_do_not_matter(
    kind: Kind, upstream: Upstream, provide: Provide, line_end: bytes
) -> None:
    """Other line ends, comments and 10^5 empty events between the others change nothing."""
    events = [event.replace(b"\n", line_end) for event in kind.events(PIECES)]
    noise = (b": keep-alive" + line_end * 2) + line_end * 100_000 + (b"data:" + line_end * 2) * 100_000
    upstream.answer(*stream(*(noise + event for event in events[:2]), *events[2:]))

    assert (await ask(provide(kind), streams=True)).text == TEXT


@pytest.mark.parametrize("streams", [False, True])
async def test_an_error_with_a_200_is_an_error(
    kind: Kind, upstream: Upstream, provide: Provide, *, streams: bool
) -> None:
    """An error where the answer should be is classified by its type, and what was used until then is known."""
    start = kind.events(("a",), kind.usage)[:-2]
    error = kind.error.split(b"data: ")[-1].strip()
    upstream.answer(*(stream(*start, kind.error) if streams else [response(error)]))
    heard = Heard()

    failure = await failed(provide(kind), heard, streams=streams)

    assert failure.reason == "stream_error"
    assert heard.completed is None
    assert heard.text == ("a" if streams else "")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (ENDED, "stream_error"),
        (b'{"error": ' + ENDED + b"}", "stream_error"),
        (b'{"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}', "stream_error"),
        (b'{"code": 429, "type": "rate_limit_error", "message": "Slow"}', "rate_limited"),
        (b'{"message": 5, "type": "rate_limit_error", "choices": 1, "delta": "x"}', "rate_limited"),
        (b'"engine died"', "stream_error"),
        (b"engine died\xff", "stream_error"),
        (b"Content violates usage guidelines.", "content_filter"),
        (b"{}", "stream_error"),
        (b"null", "stream_error"),
        (b"", "stream_error"),
    ],
)
@pytest.mark.parametrize("begun", [True, False])
async def test_an_event_that_is_named_an_error_ends_a_stream(
    kind: Kind, upstream: Upstream, provide: Provide, *, data: bytes, reason: str, begun: bool
) -> None:
    """However it is written, and whatever end may follow."""
    *first, ending, last = kind.events(("a",))
    event = b"event: error\ndata: " + data + b"\n\n"
    upstream.answer(*stream(*(first if begun else ()), event, ending, last))
    heard = Heard()

    failure = await failed(provide(kind), heard)

    assert (failure.reason, heard.completed) == (reason, None)
    assert heard.text == ("a" if begun else "")


async def test_what_an_event_that_is_named_an_error_says_besides_is_known(upstream: Upstream, provide: Provide) -> None:
    """What was used, and the text that is not handed on; an error within an error is of its own kind."""
    error = b'{"error": {"error": {"code": 429}}, "choices": [{"delta": {"content": "more"}}], "usage": %b}'
    event = b"event: error\ndata: " + error % b'{"prompt_tokens": 30, "completion_tokens": 20}' + b"\n\n"
    upstream.answer(*stream(*OPENAI.events(("a",))[:-2], event))
    heard = Heard()

    failure = await failed(provide(OPENAI), heard)

    assert failure.reason == "rate_limited"
    assert (heard.attempt.usage, heard.attempt.bytes_unsaid) == (Usage(uncached_input=30, output=20), len("more"))


async def test_what_repeats_the_prompt_in_an_event_that_is_named_an_error_is_not_told(
    kind: Kind, upstream: Upstream, provide: Provide
) -> None:
    """As in every other error of the upstream's own."""
    upstream.answer(*stream(b"event: error\ndata: you said: hello\n\n"))

    assert (await failed(provide(kind))).message == "HTTP 500 (no reason given)"


async def test_text_that_arrives_with_an_error_is_not_handed_on(
    kind: Kind, upstream: Upstream, provide: Provide
) -> None:
    """While nothing was handed on, another model may still answer; that the text was made is known."""
    upstream.answer(STREAM_HEAD + chunk(b"".join(kind.events(("ü",))[:-2]) + kind.error) + LAST_CHUNK)
    heard = Heard()

    await failed(provide(kind), heard)

    assert heard.deltas == []
    assert heard.attempt.bytes_unsaid == 2


async def test_a_text_without_end_is_malformed(kind: Kind, upstream: Upstream, provide: Provide) -> None:
    """Whoever waits for its end keeps all of it."""
    first, *rest = kind.events(["x" * 1_000_000])
    upstream.answer(*stream(first, *rest[:-2] * 17, *rest))

    failure = await failed(provide(kind))

    assert (failure.reason, failure.message) == ("malformed", f"the answer is longer than {MAX_BODY} characters")


async def test_what_is_around_a_text_does_not_make_it_long(kind: Kind, upstream: Upstream, provide: Provide) -> None:
    """A token of four letters comes in 300 bytes of JSON, which nobody keeps."""
    comments = [b": " + b"x" * 1_000_000 + b"\n\n"] * 17
    upstream.answer(*stream(*comments, *kind.events(PIECES)))

    assert (await ask(provide(kind), streams=True)).text == TEXT


MALFORMED = {
    "bad JSON": b"{",
    "no object": b"[]",
    "wrong types": b'{"choices": 1, "content": 1, "type": 1}',
    "nothing in it": b"{}",
    "not UTF-8": b'{"choices": [{"message": {"content": "\xff"}}], "content": [{"type": "text", "text": "\xff"}]}',
    "NUL in a string": b'{"choices": [{"message": {"content": "\x00"}}], "content": [{"type": "te\x00xt"}]}',
    "lone surrogate": b'{"choices": [{"message": {"content": "\\ud800"}}], "content": [{"text": "\\ud800"}]}',
    "too deep": b'{"x": ' + b"[" * 100_000,
    "HTML": b"<html>Welcome to the hotel's Wi-Fi</html>",
    "nothing": b"",
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED.keys())
async def test_what_is_no_answer_is_malformed(kind: Kind, upstream: Upstream, provide: Provide, body: bytes) -> None:
    """A 200 with something else in it is a broken upstream."""
    upstream.answer(response(body))

    assert (await failed(provide(kind), streams=False)).reason == "malformed"


@pytest.mark.parametrize(
    "event",
    [
        b"data: {\n\n",
        b'data: {"choices": 1, "type": 1}\n\n',
        (
            b'data: {"type": "content_block_delta", "delta": {"text": "\xff"},'
            b' "choices": [{"delta": {"content": "\xff"}}]}\n\n'
        ),
        b"<html>\n\n",
        b"\x00\n\n",
        b"data: " + b"x" * 10_000_000,
    ],
    ids=["bad JSON", "wrong types", "not UTF-8", "HTML", "NUL", "10 MB line"],
)
async def test_an_event_that_is_none_is_malformed(
    kind: Kind, upstream: Upstream, provide: Provide, event: bytes
) -> None:
    """A stream with something else in it is broken, at once and in bounded memory."""
    upstream.answer(*stream(*kind.events(("a",))[:-2], event, *kind.events(())[-2:]))

    assert (await failed(provide(kind))).reason == "malformed"


@pytest.mark.parametrize("streams", [True, False])
async def test_html_with_a_200_is_malformed_and_nothing_that_a_model_said(
    kind: Kind, upstream: Upstream, provide: Provide, *, streams: bool
) -> None:
    """A page that somebody put in between."""
    upstream.answer(response(b"<html></html>", content_type="text/html; charset=utf-8"))
    heard = Heard()

    assert (await failed(provide(kind), heard, streams=streams)).reason == "malformed"
    assert heard.attempt.bytes_unsaid == 0


async def test_a_stream_without_a_reason_to_end_is_broken(kind: Kind, upstream: Upstream, provide: Provide) -> None:
    """A last event alone does not make an answer."""
    upstream.answer(*stream(kind.last))

    assert (await failed(provide(kind))).reason == "truncated"


async def test_unknown_events_and_fields_are_ignored(kind: Kind, upstream: Upstream, provide: Provide) -> None:
    """What a provider adds one day does not break us."""
    first, *rest = kind.events(PIECES)
    news = b'event: news\ndata: {"type": "news", "delta": {"type": "news_delta"}, "x": {"y": [1]}}\n\n'
    upstream.answer(*stream(first, news, *rest))

    assert (await ask(provide(kind), streams=True)).text == TEXT


async def test_nothing_is_text_after_the_last_event(kind: Kind, upstream: Upstream, provide: Provide) -> None:
    """What follows in the same read is no part of the answer."""
    events = [*kind.events(PIECES), *kind.events(("more",))]
    upstream.answer(STREAM_HEAD + chunk(b"".join(events)) + LAST_CHUNK)

    assert (await ask(provide(kind), streams=True)).text == TEXT


async def test_a_slow_drip_is_still_an_answer(kind: Kind, upstream: Upstream, provide: Provide) -> None:
    """Pauses between bytes are the clock's business, not the reader's."""
    answer = response(kind.answer("a"))
    upstream.answer(answer[:20], Wait(0.01), answer[20:90], Wait(0.01), answer[90:])

    assert (await ask(provide(kind))).text == "a"


@pytest.mark.parametrize("streams", [False, True])
async def test_what_the_reader_raises_passes_and_closes_the_connection(
    kind: Kind, upstream: Upstream, provide: Provide, *, streams: bool
) -> None:
    """An exception out of `send` is the reader's own: it is neither caught nor translated."""

    class GoneAwayError(Exception):
        """The reader is gone."""

    class Deaf(Heard):
        async def take(self, reply: object) -> None:
            raise GoneAwayError

    answer = stream(*kind.events(PIECES)[:-1]) if streams else [response(kind.answer(TEXT))]
    upstream.answer(*answer[:-1], answer[-1][:-5] if streams else answer[-1])

    with pytest.raises(GoneAwayError):
        await ask(provide(kind), streams=streams, heard=Deaf())

    if streams:
        await upstream.abandoned()


async def test_the_headers_alone_are_no_answer(kind: Kind, upstream: Upstream, provide: Provide) -> None:
    """A stream that ends before its first event is truncated."""
    upstream.answer(head(content_type="text/event-stream", content_length="0"))

    assert (await failed(provide(kind))).reason == "truncated"
