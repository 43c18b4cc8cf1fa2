"""Providers that somebody else wrote, found by name: `package.module:factory`."""

import inspect
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import cast

from penstockd.call import Handler
from penstockd.model import Prompt


class FactoryError(ValueError):
    """A provider's name leads to nothing that can answer; the message says why, for whoever wrote the config."""


def provider_from(reference: str, name: str, settings: Mapping[str, object]) -> Handler[Prompt]:
    """Call the factory at `reference` with the model's name in the pool and its settings from the config.

    It returns an async callable that takes a Call[Prompt]. Raises FactoryError if it does not, or cannot be found.
    """
    factory = _found(reference)
    try:
        provider = factory(name, settings)
    except (Exception, SystemExit) as error:
        raise FactoryError(f"{reference} failed: {type(error).__name__}: {error}") from error
    if not _is_async(provider):
        raise FactoryError(f"{reference} returned a {type(provider).__name__}, which is no async callable")
    return cast("Handler[Prompt]", provider)


def _found(reference: str) -> Callable[[str, Mapping[str, object]], object]:
    module_name, _, path = reference.partition(":")
    if not module_name or not path:
        raise FactoryError(f"{reference!r} is not of the form package.module:factory")
    try:
        found: object = import_module(module_name)
    except (Exception, SystemExit) as error:
        raise FactoryError(f"cannot import {module_name}: {type(error).__name__}: {error}") from error
    for part in path.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        raise FactoryError(f"{module_name} has no callable {path}")
    return found


def _is_async(provider: object) -> bool:
    return inspect.iscoroutinefunction(provider) or inspect.iscoroutinefunction(getattr(provider, "__call__", None))  # noqa: B004 — the method itself is looked at, not whether there is one
