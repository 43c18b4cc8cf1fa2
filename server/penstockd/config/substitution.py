"""`${NAME}` in the file's texts: the environment's value; `$${` is a plain `${`."""

import re
from collections.abc import Mapping
from typing import Final

from penstockd.config.errors import ConfigError, dotted, nearest
from penstockd.config.tree import Tree

_REFERENCE: Final = re.compile(r"\$\$\{|\$\{(?P<name>[^}]*)(?P<end>\}?)")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


class Substitution:
    """Fills in references; what it cannot fill in it leaves as it is and notes in `errors`."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.errors: list[ConfigError] = []

    def fill(self, tree: Tree) -> Tree:
        """The same tree with every reference in its texts replaced, names excepted."""
        return {name: self._fill(value, (name,)) for name, value in tree.items()}

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
        return self._environ.get(name, "")

    def _note(self, path: tuple[str | int, ...], message: str, suggestion: str | None = None) -> None:
        self.errors.append(ConfigError(dotted(path), message, suggestion))


def refers(text: str) -> bool:
    """Whether something is filled in for a part of `text`."""
    return any(reference["name"] is not None for reference in _REFERENCE.finditer(text))


def escape(text: str) -> str:
    """The text that `Substitution` reads as `text`."""
    return text.replace("${", "$${")
