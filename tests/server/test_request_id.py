"""Requests have names by which they are found again."""

import uuid

import pytest

from penstockd import request_id


def test_a_generated_name_is_a_uuid_of_version_7() -> None:
    """As RFC 9562 lays it out, with the time in front."""
    generated = uuid.UUID(request_id.generate(1_700_000_000.123))

    assert generated.version == 7
    assert generated.variant == uuid.RFC_4122
    assert generated.int >> 80 == 1_700_000_000_123


def test_names_sort_by_their_time_and_never_repeat() -> None:
    """Later is greater; within a millisecond they differ."""
    assert request_id.generate(1.0) < request_id.generate(1.5) < request_id.generate(1e9)
    assert len({request_id.generate(1.0) for _ in range(1000)}) == 1000


@pytest.mark.parametrize("name", ["a", "A-z_0.9", "x" * 128, request_id.generate(1.0)])
def test_a_caller_may_choose_a_plain_name(name: str) -> None:
    """Letters, digits, dot, underscore and dash, up to 128."""
    assert request_id.is_valid(name)


@pytest.mark.parametrize("name", ["", "x" * 129, "a b", "a\n", "ä", "a/b", 'a"'])
def test_a_caller_may_not_choose_any_other(name: str) -> None:
    """It goes into logs and headers."""
    assert not request_id.is_valid(name)
