"""Providers that somebody else wrote, found by name: `package.module:factory`."""

import inspect
from collections.abc import Callable, Mapping
from importlib import import_module
from traceback import format_exception_only
from typing import cast

from penstockd.call import Handler
from penstockd.model import Prompt


def provider_from(reference: str, name: str, settings: Mapping[str, object]) -> Handler[Prompt]:
    """Call the factory at `reference` with the model's name in the pool and its settings from the config.

    It returns an async callable that takes a Call[Prompt]. Raises ValueError if it does not, or cannot be found.
    """
    factory = _found(reference)
    try:
        provider = factory(name, settings)
    except BaseException as error:
        raise ValueError(f"{reference} failed: {_on_one_line(error)}") from error
    if not _is_async(provider):
        raise ValueError(f"{reference} returned a {type(provider).__name__}, which is no async callable")
    return cast("Handler[Prompt]", provider)


def _found(reference: str) -> Callable[[str, Mapping[str, object]], object]:
    module_name, _, name = reference.partition(":")
    try:
        found: object = getattr(import_module(module_name), name, None)
    except BaseException as error:
        # No Ctrl-C and no cancellation: signals end the process or are heard by the loop, and nothing here awaits.
        raise ValueError(f"cannot import {module_name}: {_on_one_line(error)}") from error
    if not callable(found):
        raise ValueError(f"{module_name} has no callable {name}")  # noqa: TRY004 - a mistake of the configuration
    return found


def _on_one_line(error: BaseException) -> str:
    """What `error` is and says; unlike str(), this also shows an exception that cannot be shown."""
    return " ".join("".join(format_exception_only(error)).split())


def _is_async(provider: object) -> bool:
    return inspect.iscoroutinefunction(provider) or inspect.iscoroutinefunction(getattr(provider, "__call__", None))  # noqa: B004 — the method itself is looked at, not whether there is one
