"""What an agent makes of an error of ours may be such that nobody can be told of it."""

from copy import copy
from typing import Any

import pytest

from penstockd.errors import (
    Code,
    Internal,
    InvalidRequest,
    Overloaded,
    PenstockError,
    Quota,
    RateLimited,
    Violation,
)
from penstockd.outcome import can_be_told

ODD: Any = ValueError("secret")


class Forgetful(InvalidRequest):
    """One of an agent's own, whose constructor leaves ours out."""

    def __init__(self, order: int) -> None:
        self.order = order


class Shut(Overloaded):
    """One of an agent's own, whose constructor takes what it likes."""

    def __init__(self, *, for_good: bool = False) -> None:
        super().__init__("shut", retry_after=-1 if for_good else 1.0)
        self.is_for_good = for_good


class Gone(Overloaded, ConnectionError):
    """One of an agent's own, which is an error of the system's too."""


def with_code(code: Any) -> PenstockError:  # noqa: ANN401 - whatever people write
    """An error with this code."""
    error: Any = PenstockError("what happened")
    error.code = code
    return error  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "error",
    [
        RateLimited("slow down", retry_after=1.5, metadata={"k": "v"}, quota=Quota("user:acme/u1", "60/m requests")),
        InvalidRequest("bad", violations=[Violation("input", "must not be empty")]),
        InvalidRequest("half \ud83d"),
        RateLimited("slow down", retry_after=float("nan")),
        RateLimited("slow down", retry_after=-1),
        PenstockError("what happened"),
        with_code(Code.NOT_FOUND),
    ],
    ids=repr,
)
def test_an_error_of_ours_can_be_told(error: PenstockError) -> None:
    """A number of any size too, and a class without a code, which is INTERNAL."""
    assert can_be_told(error)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("secret"),
        InvalidRequest(ODD),
        RateLimited("slow down", retry_after="3"),  # type: ignore[arg-type]
        InvalidRequest("bad", metadata={"order": 7}),  # type: ignore[dict-item]
        InvalidRequest("bad", metadata={7: "order"}),  # type: ignore[dict-item]
        InvalidRequest("bad", metadata={"order": "half \ud83d"}),
        InvalidRequest("bad", violations=["input"]),  # type: ignore[list-item]
        InvalidRequest("bad", violations=[Violation("input", ODD)]),
        RateLimited("slow down", quota="60/m"),  # type: ignore[arg-type]
        RateLimited("slow down", quota=Quota("user:acme/u1", ODD)),
        Forgetful(7),
        with_code(5),
        with_code("NOT_FOUND"),
    ],
    ids=repr,
)
def test_what_holds_what_is_no_status_cannot_be_told(error: BaseException) -> None:
    """Nor what is not ours at all."""
    assert not can_be_told(error)


@pytest.mark.parametrize(
    "error", [RateLimited("slow down", metadata={"k": "v"}), Shut(for_good=True), Gone("no")], ids=repr
)
def test_a_copy_is_the_same_whatever_its_constructor_takes(error: PenstockError) -> None:
    """Without the traceback, so that whoever raises it adds to no other's."""
    try:
        raise error
    except PenstockError:
        copied = copy(error)

    assert (type(copied), vars(copied), str(copied)) == (type(error), vars(error), str(error))
    assert copied.__traceback__ is None


def test_a_message_of_the_class_is_there_without_one_and_gives_way_to_one() -> None:
    """A class without its own wants one."""
    assert Internal().message == str(Internal()) == "an internal error; its details are in the server's log"
    assert Internal("the work was ended").message == "the work was ended"
    with pytest.raises(TypeError, match="Overloaded wants a message"):
        Overloaded()
