"""Events are cut out of bytes however those arrive."""

import time
from itertools import pairwise, repeat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstockd.models.providers.sse import MAX_EVENT, ErrorEvent, EventStream
from penstockd.upstream import Broken


def fed(*chunks: bytes) -> list[bytes]:
    """The data of all events in `chunks`, fed one after the other."""
    stream = EventStream()
    return [data for chunk in chunks for data in stream.feed(chunk)]


@pytest.mark.parametrize(
    ("raw", "events"),
    [
        (b"data: a\n\ndata: b\n\n", [b"a", b"b"]),
        (b"data:a\n\n", [b"a"]),
        (b"data:  a \n\n", [b" a "]),
        (b"data: a\r\n\r\ndata: b\r\n\r\n", [b"a", b"b"]),
        (b"data: a\r\rdata: b\r\r", [b"a", b"b"]),
        (b"data: a\ndata: b\n\n", [b"a\nb"]),
        (b"data: a\r\ndata: b\r\n\r\n", [b"a\nb"]),
        (b"event: x\nid: 1\nretry: 5\ndata: a\n\n", [b"a"]),
        (b": comment\n\ndata: a\n: comment\n\n", [b"a"]),
        (b"\xef\xbb\xbfdata: a\n\n", [b"a"]),
        (b"\xef\xbb\xbf\n\ndata: a\n\n", [b"a"]),
        (b"\n\n\n\ndata: a\n\n\n\n\ndata: b\n\n", [b"a", b"b"]),
        (b"data\n\ndata:\n\ndata: \n\n", []),
        (b"event: ping\n\n", []),
        (b"data: a", []),
        (b"data: a\n", []),
        (b"data: a\x00b\n\n", [b"a\x00b"]),
    ],
)
def test_the_grammar_of_events(raw: bytes, events: list[bytes]) -> None:
    """Line ends, comments, several lines, a BOM, empty and unfinished events are read as the standard says."""
    assert fed(raw) == events
    assert fed(*(bytes([byte]) for byte in raw)) == events


@pytest.mark.parametrize(
    ("raw", "errors"),
    [
        (b"event: error\ndata: a\n\ndata: b\n\n", [True, False]),
        (b"data: a\n\nevent:error\r\ndata: b\r\n\r\n", [False, True]),
        (b"id: 1\ndata: a\nevent: error\n\n", [True]),
        (b"event: error\n\n", [True]),
        (b"event: error_of_a_kind\ndata: a\n\n: event: error\ndata: event: error\n\n", [False, False]),
        (b"event: error\n", []),
    ],
)
def test_an_event_that_is_named_an_error_is_known_for_one(raw: bytes, errors: list[bool]) -> None:
    """Its data need not say so; it may have none."""
    assert [isinstance(event, ErrorEvent) for event in fed(raw)] == errors
    assert [isinstance(event, ErrorEvent) for event in fed(*(bytes([byte]) for byte in raw))] == errors


@given(
    st.lists(st.text(st.characters(exclude_characters="\r\n", codec="utf-8"), min_size=1), max_size=6),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.lists(st.integers(0, 200), max_size=8),
)
def test_where_reads_cut_the_bytes_does_not_matter(texts: list[str], line_end: str, cuts: list[int]) -> None:
    """Any slicing of the bytes gives the same events, characters that are cut in two included."""
    raw = "".join(f"data: {text}{line_end}{line_end}" for text in texts).encode()
    edges = [0, *sorted(min(cut, len(raw)) for cut in cuts), len(raw)]
    slices = [raw[start:end] for start, end in pairwise(edges)]

    assert fed(*slices) == [text.encode() for text in texts]


@pytest.mark.parametrize("line", [b"<html>", b"\x00data: a", b"error: no"])
def test_a_line_that_is_no_field_is_malformed(line: bytes) -> None:
    """What would have to be skipped might be text, so it is refused."""
    with pytest.raises(Broken) as failure:
        fed(b"data: a\n" + line + b"\n\n")

    assert failure.value.reason == "malformed"


@pytest.mark.parametrize("piece", [1 << 16, 1 << 24])
def test_an_event_without_end_is_malformed(piece: int) -> None:
    """What is kept of an unfinished event is bounded, at one read and at many."""
    with pytest.raises(Broken) as failure:
        fed(*repeat(b"x" * piece, MAX_EVENT // piece + 2))

    assert failure.value.reason == "malformed"


def test_an_unfinished_event_after_a_finished_one_is_bounded_too() -> None:
    """A read that ends one event and begins an endless one is refused."""
    with pytest.raises(Broken):
        fed(b"data: a\n\n" + b"x" * (MAX_EVENT + 1))


def test_empty_events_and_single_bytes_are_cheap() -> None:
    """10^5 empty events, and an event of 10^5 single bytes, take time in proportion to their bytes."""
    started = time.process_time()

    assert fed(b"data:\n\n" * 100_000) == []
    assert fed(*[b"\n"] * 100_000) == []
    assert fed(b"data: ", *[b"x"] * 100_000, b"\n\n") == [b"x" * 100_000]

    assert time.process_time() - started < 5
