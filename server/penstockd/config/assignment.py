"""One setting's new value, laid over what was said before."""

from dataclasses import dataclass
from functools import reduce

from penstockd.config.agent_settings import AgentCacheSettings, is_off
from penstockd.config.route_settings import RouteSettings
from penstockd.config.schema import Shape, names_in, step
from penstockd.config.section import Section
from penstockd.config.settings import Settings
from penstockd.config.tree import Path, Tree, branch


@dataclass(frozen=True, slots=True)
class Assignment:
    """One setting or section, its new value, and who says so."""

    path: Path
    value: object
    origin: str

    def says(self, path: tuple[str | int, ...]) -> bool:
        """Whether there is a value for `path` in it."""
        if not self._reaches(path):
            return False
        value = self.value
        for name in path[len(self.path) :]:
            if not isinstance(value, dict):
                return True
            if name not in value:
                return False
            value = value[name]
        return True

    def sets(self, path: tuple[str | int, ...]) -> bool:
        """Whether what stands at `path`, or is missing there, comes from here."""
        return self._reaches(path) and (self._section is None or self.says(path))

    def laid_over(self, tree: Tree) -> Tree:
        """`tree` with this in it.

        A map for a section of fixed settings leaves those it does not say as they were; one for named things, for one
        of them or for what is inside one of them replaces all that was there.
        """
        value = _merged(self.value, branch(tree, *self.path), self._section)
        laid = _put(tree, self.path, value, Settings, branch(tree, "routes"))
        return laid if isinstance(laid, dict) else tree

    @property
    def _section(self) -> type[Section] | None:
        whole: type[Section] | None = Settings
        return reduce(_section_in, self.path, whole)

    def _reaches(self, path: tuple[str | int, ...]) -> bool:
        return path[: len(self.path)] == self.path


def _section_in(section: type[Section] | None, name: str) -> type[Section] | None:
    """The section of fixed settings that `name` is in another; None for what is none."""
    shape = step(section, name) if name in names_in(section) else None
    return shape if isinstance(shape, type) else None


def _merged(over: object, under: Tree, section: type[Section] | None) -> object:
    if section is None or not isinstance(over, dict):
        return over
    inner = {name: _merged(value, branch(under, name), _section_in(section, name)) for name, value in over.items()}
    return {**under, **inner}


def _put(tree: object, path: Path, value: object, shape: Shape, routes: Tree) -> object:
    if not path:
        return value
    tree = {} if tree is None else _written_out(tree, shape, routes)
    if not isinstance(tree, dict):
        return tree  # to be refused later
    name, below = path[0], path[1:]
    return {**tree, name: _put(tree.get(name), below, value, step(shape, name), routes)}


def _written_out(value: object, shape: Shape, routes: Tree) -> object:
    """The map of settings that a short form stands for; anything else as it is."""
    if shape is RouteSettings and isinstance(value, str):
        return routes.get(value, value)
    return {} if shape is AgentCacheSettings and is_off(value) else value
