"""The exceptions are the server's errors, seen from the other side."""

import pickle

import pytest
from grpc import StatusCode

import penstock
from penstock import PenstockError, RateLimited, Unimplemented, Unreachable
from penstock.errors import SERVER_ERRORS
from penstockd import errors as server_errors


def test_every_server_error_has_an_exception_of_its_name_reason_and_code() -> None:
    """Neither side knows an error that the other does not."""
    theirs = {(kind.__name__, kind.reason, int(kind.code)) for kind in server_errors.PenstockError.__subclasses__()}

    ours = {(kind.__name__, reason, kind.code.value[0]) for reason, kind in SERVER_ERRORS.items()}

    assert ours == theirs


@pytest.mark.parametrize("kind", [*SERVER_ERRORS.values(), PenstockError, Unimplemented, Unreachable])
def test_every_exception_is_exported(kind: type[PenstockError]) -> None:
    """`penstock.RateLimited` and its siblings are there to be caught."""
    assert getattr(penstock, kind.__name__) is kind
    assert kind.__name__ in penstock.__all__


def test_every_exported_name_exists() -> None:
    """`from penstock import *` works."""
    assert all(hasattr(penstock, name) for name in penstock.__all__)


def test_an_exception_survives_pickling() -> None:
    """A worker process can hand it to its parent whole."""
    error = RateLimited("slow down", retry_after=1.5, request_id="r1", metadata={"a": "b"})

    copy = pickle.loads(pickle.dumps(error))  # noqa: S301

    assert type(copy) is RateLimited
    assert vars(copy) == vars(error)
    assert copy.code is StatusCode.RESOURCE_EXHAUSTED
