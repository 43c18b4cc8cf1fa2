"""Settings that are names: how they are spelled, and whether what they name is there."""

import re
from collections.abc import Iterable
from typing import Annotated, Final, TypeVar

from pydantic import AfterValidator, ValidationInfo

from penstockd.config.context import Context
from penstockd.config.errors import Mistake, nearest

T = TypeVar("T")

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}", re.ASCII)
_BARE: Final = "model/"
_REFERENCE: Final = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


def existing(kind: str, name: str, names: Iterable[str]) -> str:
    """`name`, if it is one of `names`; raises a Mistake that suggests the nearest."""
    names = list(names)
    if name not in names:
        raise Mistake(f'there is no {kind} "{name}"', nearest(name, names))
    return name


def distinct(values: tuple[T, ...]) -> tuple[T, ...]:
    """`values`, if none of them is there twice."""
    if len(set(values)) == len(values):
        return values
    twice = next(value for index, value in enumerate(values) if value in values[:index])
    raise Mistake(f'"{twice}" is given twice')


def is_reference(text: str) -> bool:
    """Whether the text is spelled `package.module:name`."""
    return _REFERENCE.fullmatch(text) is not None


def spelled(name: str) -> str:
    """`name`, if it is spelled as one; raises a Mistake."""
    if _NAME.fullmatch(name):
        return name
    meant = name.lower().replace(" ", "-")
    raise Mistake(
        'a name is made of a-z, 0-9, ".", "_" and "-", begins with a letter or digit and has at most 63 characters',
        meant if _NAME.fullmatch(meant) else None,
    )


def _reference(text: str) -> str:
    if not is_reference(text):
        raise Mistake('must be spelled "package.module:name"')
    return text


def _existing_model(name: str, info: ValidationInfo[Context]) -> str:
    models = info.context.models
    return existing("model", name, models) if models else name  # a pool that is none is a mistake of its own


def _existing_agent(name: str, info: ValidationInfo[Context]) -> str:
    if name.startswith(_BARE):
        return _BARE + existing("model", name.removeprefix(_BARE), info.context.models)
    return existing("agent", name, info.context.agents)


Name = Annotated[str, AfterValidator(spelled)]
"""The name of a model, route, agent, tenant or key."""

ExistingModel = Annotated[str, AfterValidator(_existing_model)]
"""The name of a model of the pool."""

ExistingAgent = Annotated[str, AfterValidator(_existing_agent)]
"""The name of an agent, or `model/` and that of a model, which callers may ask bare."""

Reference = Annotated[str, AfterValidator(_reference)]
"""A thing in a Python module, `package.module:name`."""
