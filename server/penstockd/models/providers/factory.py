"""Providers that somebody else wrote, found by name: `package.module:factory`."""

import inspect
from collections.abc import Mapping
from typing import cast

from penstockd.call import Handler
from penstockd.model import Prompt
from penstockd.reference import named, on_one_line


def provider_from(reference: str, name: str, settings: Mapping[str, object]) -> Handler[Prompt]:
    """Call the factory at `reference` with the model's name in the pool and its settings from the config.

    It returns an async callable that takes a Call[Prompt]. Raises ValueError if it does not, or cannot be found.
    """
    factory = named(reference)
    if not callable(factory):
        raise ValueError(f"{reference} is not callable")  # noqa: TRY004 - a mistake of the configuration
    try:
        provider = factory(name, settings)
    except BaseException as error:
        raise ValueError(f"{reference} failed: {on_one_line(error)}") from error
    if not _is_async(provider):
        raise ValueError(f"{reference} returned a {type(provider).__name__}, which is no async callable")
    return cast("Handler[Prompt]", provider)


def _is_async(provider: object) -> bool:
    return inspect.iscoroutinefunction(provider) or inspect.iscoroutinefunction(getattr(provider, "__call__", None))  # noqa: B004 — the method itself is looked at, not whether there is one
