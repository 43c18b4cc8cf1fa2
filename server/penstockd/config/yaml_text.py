"""YAML as people mean it: text stays text, names are always text, and no name is given twice."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final

import yaml
from yaml.constructor import ConstructorError

_TAG: Final = "tag:yaml.org,2002:"
_SCALARS: Final = (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]{1,19}", list("-+0123456789")),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]{1,3})?", list("-+.0123456789")),
)


class NotYaml(ValueError):
    """The text is no YAML: what is wrong, at which line and column, both counted from 1."""

    def __init__(self, problem: str, line: int, column: int) -> None:
        super().__init__(problem)
        self.problem = problem
        self.line = line
        self.column = column


def parse_yaml(text: str) -> object:
    """The one document in `text`; raises NotYaml."""
    try:
        return yaml.load(text, _Loader)  # noqa: S506  # a SafeLoader with still fewer constructors
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        problem = error.problem or "is not YAML"
        if problem.startswith("but "):
            problem = f"{error.context}, {problem}"
        if mark and text[mark.index - 1 : mark.index + 1] == "${":
            problem += "; put ${…} in quotes inside { } and [ ]"
        raise NotYaml(problem, line, column) from error
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        column = len(before) - before.rfind("\n")
        raise NotYaml("a character that YAML does not allow", before.count("\n") + 1, column) from error


class _Loader(yaml.SafeLoader):
    """The core of YAML 1.2: `off`, `no`, `1:30` and dates are text, not booleans, numbers and dates in disguise."""


_Loader.yaml_implicit_resolvers = {}


def _map(loader: _Loader, node: yaml.MappingNode) -> dict[str, object]:
    named: dict[str, object] = {}
    merged: dict[str, object] = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise ConstructorError(None, None, "a name must be text", key.start_mark)
        if key.value == "<<":
            for source in _sources(loader, value):
                merged = {**source, **merged}
            continue
        if key.value in named:
            raise ConstructorError(None, None, f'"{key.value}" is given twice', key.start_mark)
        named[key.value] = loader.construct_object(value, deep=True)
    return {**merged, **named}


def _sources(loader: _Loader, node: yaml.Node) -> Iterator[Mapping[str, object]]:
    built = loader.construct_object(node, deep=True)
    for source in built if isinstance(built, list) else [built]:
        if not isinstance(source, dict):
            raise ConstructorError(None, None, "<< takes a map, or a list of maps", node.start_mark)
        yield source


def _list(loader: _Loader, node: yaml.SequenceNode) -> list[object]:
    return loader.construct_sequence(node, deep=True)


def _scalar(kind: Callable[[str], object]) -> Callable[[_Loader, yaml.ScalarNode], object]:
    def construct(loader: _Loader, node: yaml.ScalarNode) -> object:
        try:
            return kind(loader.construct_scalar(node))
        except ValueError as error:
            raise ConstructorError(None, None, f"is no {node.tag}", node.start_mark) from error

    return construct


def _refuse(_: _Loader, node: yaml.Node) -> None:
    raise ConstructorError(None, None, f"{node.tag} means nothing here", node.start_mark)


_Loader.yaml_constructors = {
    f"{_TAG}map": _map,
    f"{_TAG}seq": _list,
    f"{_TAG}str": _scalar(str),
    f"{_TAG}null": _scalar(lambda _: None),
    f"{_TAG}bool": _scalar(lambda text: text.lower() == "true"),
    f"{_TAG}int": _scalar(int),
    f"{_TAG}float": _scalar(float),
    f"{_TAG}merge": _refuse,
    None: _refuse,
}
for _name, _pattern, _first in _SCALARS:
    _Loader.add_implicit_resolver(_TAG + _name, re.compile(rf"(?:{_pattern})\Z"), _first)
