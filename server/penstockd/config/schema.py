"""What may be set: the tree of settings, read off their classes."""

import types
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Union, get_args, get_origin

from penstockd.config.section import Section


@dataclass(frozen=True, slots=True)
class Many:
    """A map or a list of sections."""

    section: type[Section]
    is_map: bool


Shape = type[Section] | Many | None
"""A section, many of one kind, or a plain value."""


def shape_of(annotation: object) -> Shape:
    """The shape of what an annotation describes."""
    arguments = get_args(annotation)
    match get_origin(annotation):
        case origin if origin is Annotated:
            return shape_of(arguments[0])
        case origin if origin in (Union, types.UnionType):
            return next((shape for shape in map(shape_of, arguments) if shape is not None), None)
        case origin if origin in (dict, tuple):
            inner = shape_of(arguments[-1] if origin is dict else arguments[0])
            return Many(inner, is_map=origin is dict) if isinstance(inner, type) else None
        case _:
            is_section = isinstance(annotation, type) and issubclass(annotation, Section)
            return annotation if is_section else None  # type: ignore[return-value]  # narrowed by is_section


def names_in(shape: Shape) -> tuple[str, ...]:
    """The settings of a section; none for anything else."""
    return () if shape is None or isinstance(shape, Many) else tuple(shape.model_fields)


def step(shape: Shape, name: str | int) -> Shape:
    """The shape of what `name` names in `shape`; raises KeyError where there is no such setting."""
    match shape:
        case None:
            raise KeyError(name)
        case Many():
            return shape.section
        case _:
            return _setting(shape, str(name))


@cache
def _setting(section: type[Section], name: str) -> Shape:
    """Found once: a file may have ten thousand sections of a kind."""
    return shape_of(section.model_fields[name].annotation)
