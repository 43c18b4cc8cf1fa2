"""The quick way to read YAML, for what most files are made of; the rest is left to the careful way."""

import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

import yaml

from penstockd.config.yaml_bounds import DEEPEST, MOST_REPEATED
from penstockd.config.yaml_scalars import meaning

try:
    from yaml._yaml import CParser
except ImportError:  # PyYAML was built without libyaml
    CParser = None  # type: ignore[assignment, misc]

_ODD: Final = re.compile(r"[\0-\t\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")
"""Tabs, control characters, other line ends, byte order marks, and what is no character."""
_CROWDED: Final = re.compile(r"[|>][-+0-9]*#")
"""A comment right behind the sign of a block."""


class Unusual(Exception):
    """A text that may be wrong, or that the two parsers may read differently."""


def read_quickly(text: str) -> object:
    """The one document in `text`; raises Unusual, also for whatever is wrong with it."""
    if CParser is None or _ODD.search(text) or _CROWDED.search(text):
        raise Unusual
    try:
        return _Reader(CParser(text)).document()
    except (yaml.YAMLError, ValueError) as error:
        raise Unusual from error


class _Anchored(NamedTuple):
    """A value that aliases may repeat; how many values there are in it, its own aliases written out, and how deep."""

    value: object
    size: int
    height: int


class _Reader:
    """Makes a value of what libyaml finds at once, so that there is never a tree of nodes beside that of the values."""

    def __init__(self, parser: CParser) -> None:
        self._parser = parser
        self._begun: set[str] = set()
        self._anchored: dict[str, _Anchored] = {}
        self._size = 0
        self._repeated = 0
        self._level = 0
        self._lowest = 0

    def document(self) -> object:
        self._parser.get_event()  # the stream begins
        match self._parser.get_event():
            case yaml.StreamEndEvent():
                return None
            case yaml.DocumentStartEvent(version=None, tags=None):
                value = self._value(self._parser.get_event())
            case _:
                raise Unusual
        self._parser.get_event()  # the document ends
        if not isinstance(self._parser.get_event(), yaml.StreamEndEvent):
            raise Unusual
        return value

    def _value(self, event: yaml.Event | None) -> object:
        if isinstance(event, yaml.AliasEvent):
            return self._again(event.anchor)
        if not isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent) or event.tag is not None:
            raise Unusual
        return self._new(event) if event.anchor is None else self._named(event, event.anchor)

    def _new(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent) -> object:
        self._size += 1
        self._level += 1
        self._reach(self._level)
        match event:
            case yaml.ScalarEvent():
                value = _scalar(event)
            case yaml.MappingStartEvent():
                value = self._map()
            case _:
                value = self._list()
        self._level -= 1
        return value

    def _named(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent, anchor: str) -> object:
        if anchor in self._begun:
            raise Unusual
        self._begun.add(anchor)
        size, lowest, self._lowest = self._size, self._lowest, self._level
        value = self._new(event)
        if value is None:
            raise Unusual
        self._anchored[anchor] = _Anchored(value, self._size - size, self._lowest - self._level)
        self._lowest = max(lowest, self._lowest)
        return value

    def _again(self, anchor: str | None) -> object:
        if anchor not in self._anchored:
            raise Unusual
        value, size, height = self._anchored[anchor]
        self._size += size
        self._repeated += size
        self._reach(self._level + height)
        if self._repeated > MOST_REPEATED:
            raise Unusual
        return value

    def _reach(self, level: int) -> None:
        if level > DEEPEST:
            raise Unusual
        self._lowest = max(level, self._lowest)

    def _map(self) -> dict[str, object]:
        named: dict[str, object] = {}
        merged: dict[str, object] = {}
        while not isinstance(key := self._parser.get_event(), yaml.MappingEndEvent):
            if not isinstance(key, yaml.ScalarEvent):
                raise Unusual
            self._value(key)
            name, value = key.value, self._value(self._parser.get_event())
            if name == "<<":
                for source in _sources(value):
                    merged = {**source, **merged}
            elif name in named:
                raise Unusual
            else:
                named[name] = value
        return {**merged, **named}

    def _list(self) -> list[object]:
        values: list[object] = []
        while not isinstance(event := self._parser.get_event(), yaml.SequenceEndEvent):
            values.append(self._value(event))
        return values


def _scalar(event: yaml.ScalarEvent) -> object:
    is_plain, _ = event.implicit
    if not is_plain:
        return event.value
    if "?" in event.value:  # which PyYAML's own parser does not take inside { } and [ ]
        raise Unusual
    return meaning(event.value)


def _sources(value: object) -> Iterator[Mapping[str, object]]:
    for source in value if isinstance(value, list) else [value]:
        if not isinstance(source, dict):
            raise Unusual
        yield source
