"""YAML as people mean it: text stays text, names are always text, and no name is given twice."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final

import yaml

from penstockd.config.yaml_bounds import Bounded, Refusal
from penstockd.config.yaml_quick import Unusual, read_quickly
from penstockd.config.yaml_scalars import KINDS, TAG, understand

_SIGNS: Final = {"alias": "*", "anchor": "&", "tag": "!"}
"""What PyYAML calls these, in messages that may repeat the text after them."""
_SIGNED: Final = re.compile(rf"\b(?:{'|'.join(_SIGNS)})\b")


class NotYaml(ValueError):
    """The text is no YAML: what is wrong, at which line and column, both counted from 1."""

    def __init__(self, problem: str, line: int, column: int) -> None:
        super().__init__(problem)
        self.problem = problem
        self.line = line
        self.column = column


def parse_yaml(text: str) -> object:
    """The one document in `text`; raises NotYaml, which repeats no value: it may be secret."""
    try:
        return read_quickly(text)
    except Unusual:
        return read_with_care(text)


def read_with_care(text: str) -> object:
    """The same, twenty times slower: this way alone can say what is wrong, and where."""
    loader = None
    try:
        loader = _Loader(text)
        return loader.get_single_data()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        problem = _without_values(error)
        if mark and text[mark.index - 1 : mark.index + 1] == "${":
            problem += "; put ${…} in quotes inside { } and [ ]"
        raise NotYaml(problem, *_place(mark)) from error
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        column = len(before) - before.rfind("\n")
        raise NotYaml("a character that YAML does not allow", before.count("\n") + 1, column) from error
    except (ValueError, OverflowError) as error:  # PyYAML's own, of an escape such as \UFFFFFFFF
        raise NotYaml("a number that is too large", *_place(loader.get_mark() if loader else None)) from error


def _place(mark: yaml.Mark | None) -> tuple[int, int]:
    return (mark.line + 1, mark.column + 1) if mark else (1, 1)


def _without_values(error: yaml.MarkedYAMLError) -> str:
    problem = error.problem or "is not YAML"
    if isinstance(error, Refusal):
        return problem
    kind = _SIGNED.search(f"{error.context} {problem}")
    if kind:
        return _means_nothing(kind[0])
    if problem.startswith("but "):
        return f"{error.context}, {problem}"
    return problem.partition(", but found")[0] if isinstance(error, yaml.scanner.ScannerError) else problem


def _means_nothing(kind: str) -> str:
    return f"this {kind} means nothing here; put text that begins with {_SIGNS[kind]} in quotes"


class _Loader(Bounded):
    """The core of YAML 1.2: `off`, `no`, `1:30` and dates are text, not booleans, numbers and dates in disguise."""


_Loader.yaml_implicit_resolvers = {}


def _map(loader: _Loader, node: yaml.Node) -> dict[str, object]:
    if not isinstance(node, yaml.MappingNode):
        raise Refusal("is no map", node.start_mark)
    named: dict[str, object] = {}
    merged: dict[str, object] = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise Refusal("a name must be text", key.start_mark)
        if key.value == "<<":
            for source in _sources(loader, value):
                merged = {**source, **merged}
            continue
        name = _text(loader, key)
        if name in named:
            raise Refusal(f'"{name}" is given twice', key.start_mark)
        named[name] = loader.construct_object(value, deep=True)
    return {**merged, **named}


def _sources(loader: _Loader, node: yaml.Node) -> Iterator[Mapping[str, object]]:
    built = loader.construct_object(node, deep=True)
    for source in built if isinstance(built, list) else [built]:
        if not isinstance(source, dict):
            raise Refusal("<< takes a map, or a list of maps", node.start_mark)
        yield source


def _list(loader: _Loader, node: yaml.SequenceNode) -> list[object]:
    return loader.construct_sequence(node, deep=True)


def _text(loader: _Loader, node: yaml.ScalarNode) -> str:
    r"""Joins what JSON writes as two escapes, such as the emoji of \ud83d\ude00."""
    try:
        return loader.construct_scalar(node).encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError as error:
        problem = "has one half of a character that is written as two, such as \\ud83d\\ude00"
        raise Refusal(problem, node.start_mark) from error


def _scalar(kind: Callable[[str], object]) -> Callable[[_Loader, yaml.ScalarNode], object]:
    def construct(loader: _Loader, node: yaml.ScalarNode) -> object:
        try:
            return kind(loader.construct_scalar(node))
        except ValueError as error:
            raise Refusal(f"is no {node.tag.removeprefix(TAG)}", node.start_mark) from error

    return construct


def _refuse(_: _Loader, node: yaml.Node) -> None:
    raise Refusal(_means_nothing("tag"), node.start_mark)


_Loader.yaml_constructors = {
    f"{TAG}map": _map,
    f"{TAG}seq": _list,
    f"{TAG}str": _text,
    **{f"{TAG}{name}": _scalar(kind) for name, kind in KINDS.items()},
    f"{TAG}merge": _refuse,
    None: _refuse,
}
understand(_Loader)
