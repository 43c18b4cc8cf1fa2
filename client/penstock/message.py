"""Plain arguments made into a message of the contract, or into an error that names the one at fault."""

from collections.abc import Mapping
from typing import TypeVar

from google.protobuf.message import Message

Kind = TypeVar("Kind", bound=Message)

_ARGUMENTS = {"input": "text"}
"""What callers call a field, where the contract calls it otherwise."""

# protobuf's words for whatever it cannot read text from.
_NO_TEXT = "bad argument type for built-in operation"


def make(kind: type[Kind], **fields: object) -> Kind:
    """Make a message of that kind; None leaves a field out.

    Raises TypeError for a value of another type and ValueError for one that the contract has no room for; both name it.
    """
    for name, value in fields.items():
        # protobuf would take bytes for text.
        if _holds_bytes(value):
            raise TypeError(f"{_ARGUMENTS.get(name, name)}: must be made of str")
    try:
        return kind(**fields)
    except (TypeError, ValueError):
        for name, value in fields.items():
            _make_alone(kind, name, value)
        raise


def _holds_bytes(value: object) -> bool:
    match value:
        case str() | None:
            return False
        case Mapping():
            return any(isinstance(part, bytes) for pair in value.items() for part in pair)
        case list() | tuple():
            return any(isinstance(part, bytes) for part in value)
        case _:
            return isinstance(value, bytes)


def _make_alone(kind: type[Message], field: str, value: object) -> None:
    name = _ARGUMENTS.get(field, field)
    try:
        kind(**{field: value})
    except TypeError as error:
        raise TypeError(f"{name}: {'must be made of str' if str(error) == _NO_TEXT else error}") from error
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
