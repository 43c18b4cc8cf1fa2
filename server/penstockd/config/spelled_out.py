"""Any setting as a name in the environment: `PENSTOCK__SECTION__KEY`."""

import re
from typing import Final

from penstockd.config.errors import Mistake, nearest
from penstockd.config.schema import Many, Shape, names_in, step
from penstockd.config.settings import Settings
from penstockd.config.tree import Tree, branch

SPELLED_OUT: Final = "PENSTOCK__"


def setting_named(name: str, tree: Tree) -> tuple[str, ...]:
    """The path that `name` spells; raises a Mistake that suggests the nearest.

    A model, agent or tenant is one that `tree` has, whatever the case of its name and with `_` for `.` and `-`; else a
    new one in lower case.
    """
    shape: Shape = Settings
    path: tuple[str, ...] = ()
    parts = name.removeprefix(SPELLED_OUT).split("__")
    for index, part in enumerate(parts):
        if isinstance(shape, Many) and shape.is_map:
            key = _key(part, branch(tree, *path))
        elif part.lower() in names_in(shape):
            key = part.lower()
        else:
            meant = nearest(part, [known.upper() for known in names_in(shape)])
            mended = meant and SPELLED_OUT + "__".join((*parts[:index], meant, *parts[index + 1 :]))
            raise Mistake("no such setting", mended and _known(mended, tree))
        shape = step(shape, key)
        path = (*path, key)
    return path


def _known(name: str, tree: Tree) -> str | None:
    """`name` if it spells a setting, else the nearest that does, if any comes to mind."""
    try:
        setting_named(name, tree)
    except Mistake as mistake:
        return mistake.suggestion
    return name


def _key(part: str, existing: Tree) -> str:
    exact = [key for key in existing if key.upper() == part]
    alike = [key for key in existing if re.sub(r"[.-]", "_", key).upper() == part]
    return (*exact, *alike, part.lower())[0]
