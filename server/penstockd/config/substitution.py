"""`${NAME}` in the file's texts: the environment's value; `$${` is a plain `${`."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from penstockd.config.errors import ConfigError, dotted, nearest
from penstockd.config.tree import Tree

_REFERENCE: Final = re.compile(r"\$\$\{|\$\{(?P<name>[^}]*)(?P<end>\}?)")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)

_NOT_UTF_8: Final = re.compile(r"[\ud800-\udfff]")  # what Python reads a byte as that is none


class Substitution:
    """Fills in references; what it cannot fill in it leaves as it is and notes in `errors`."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.errors: list[ConfigError] = []

    def fill(self, tree: Tree) -> Tree:
        """The same tree with every reference in its texts replaced, names excepted."""
        return {name: self._fill(value, (name,)) for name, value in tree.items()}

    def fill_setting(self, value: object, path: tuple[str, ...], origin: str) -> object:
        """The same of one value at `path`, which the variable `origin` sets."""
        own = Substitution(self._environ)
        filled = own._fill(value, path)
        self.errors += [replace(error, message=f"{error.message} (from {origin})") for error in own.errors]
        return filled

    def _fill(self, tree: object, path: tuple[str | int, ...]) -> object:
        match tree:
            case dict():
                return {name: self._fill(value, (*path, name)) for name, value in tree.items()}
            case list():
                return [self._fill(value, (*path, index)) for index, value in enumerate(tree)]
            case str():
                return _REFERENCE.sub(lambda reference: self._value(reference, path), tree)
            case _:
                return tree

    def _value(self, reference: re.Match[str], path: tuple[str | int, ...]) -> str:
        name = reference["name"]
        if name is None:
            return "${"
        if not reference["end"] or not _NAME.fullmatch(name):
            self._note(path, "${ must begin ${NAME}; write $${ for the two characters themselves")
        elif name not in self._environ:
            self._note(path, f"${{{name}}} is not set in the environment", nearest(name, self._environ))
        elif not self._environ[name]:
            self._note(path, f"${{{name}}} is empty in the environment")
        elif _NOT_UTF_8.search(self._environ[name]):
            self._note(path, f"${{{name}}} is not UTF-8 in the environment")
        return self._environ.get(name, "")

    def _note(self, path: tuple[str | int, ...], message: str, suggestion: str | None = None) -> None:
        """Add it to what is wrong with the same text, if it is not said already."""
        where, before = dotted(path), ""
        if self.errors and self.errors[-1].path == where:
            if message in self.errors[-1].message:
                return
            before = f"{self.errors.pop().text}; "
        self.errors.append(ConfigError(where, before + message, suggestion))


def refers(text: str) -> bool:
    """Whether something is filled in for a part of `text`."""
    return any(reference["name"] is not None for reference in _REFERENCE.finditer(text))


def escape(text: str) -> str:
    """The text that `Substitution` reads as `text`."""
    return text.replace("${", "$${")
