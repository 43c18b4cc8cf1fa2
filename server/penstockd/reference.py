"""What somebody else wrote, found by its name: `package.module:name`."""

from importlib import import_module
from traceback import format_exception_only


def named(reference: str) -> object:
    """Import what `reference` names; raise ValueError saying what is wrong with it, whatever its module raised."""
    module_name, _, name = reference.partition(":")
    try:
        found: object = getattr(import_module(module_name), name)
    except BaseException as error:
        # No Ctrl-C and no cancellation: signals end the process or are heard by the loop, and nothing here awaits.
        raise ValueError(f"cannot import {reference!r}: {on_one_line(error)}") from error
    return found


def on_one_line(error: BaseException) -> str:
    """What `error` is and says; unlike str(), this also shows an exception that cannot be shown."""
    return " ".join("".join(format_exception_only(error)).split())
