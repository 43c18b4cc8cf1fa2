"""The configuration before it is checked: maps, lists and scalars."""

from collections.abc import Iterable, Iterator
from typing import Final

Tree = dict[str, object]
Path = tuple[str, ...]

_OF_SECTIONS: Final = ("models", "routes", "agents", "tenants")


def branch(tree: object, *path: str) -> Tree:
    """The map at `path`; an empty one where there is none."""
    for name in path:
        tree = tree.get(name) if isinstance(tree, dict) else None
    return tree if isinstance(tree, dict) else {}


def put(tree: Tree, path: Path, value: object) -> None:
    """Set one value, making the maps on the way to it; what stands there and is no map stays, to be refused later."""
    *way, last = path
    for name in way:
        below = tree.get(name)
        if below is None:
            below = tree[name] = {}
        if not isinstance(below, dict):
            return
        tree = below
    tree[last] = value


def without_nulls(tree: Tree) -> Tree:
    """The same, where a name without a value counts as not given; a named thing without settings stays."""
    bare = {
        section: {name: {} if thing is None else thing for name, thing in branch(tree, section).items()}
        for section in _OF_SECTIONS
        if isinstance(tree.get(section), dict)
    }
    return _pruned({**tree, **bare})


def _pruned(tree: Tree) -> Tree:
    return {
        name: _pruned(value) if isinstance(value, dict) else value for name, value in tree.items() if value is not None
    }


def find(tree: object, pattern: Path) -> Iterator[tuple[Path, object]]:
    """The path and value of everything at `pattern`, in which `*` is any name."""
    if not pattern:
        yield (), tree
        return
    first, *rest = pattern
    if not isinstance(tree, dict):
        return
    names: Iterable[str] = tree if first == "*" else [first] if first in tree else []
    for name in names:
        for path, value in find(tree[name], tuple(rest)):
            yield (name, *path), value
