"""Names without a value, such as the headings that a file keeps for later."""

from penstockd.config.schema import Many, Shape, names_in, step
from penstockd.config.tree import Tree


def without_nulls(tree: Tree, shape: Shape) -> Tree:
    """The same, where a name without a value counts as not given; a named thing without settings stays.

    So does what `shape` does not know, to be refused later.
    """
    given: Tree = {}
    for name, value in tree.items():
        is_known = not isinstance(shape, type) or name in names_in(shape)
        below = step(shape, name) if shape is not None and is_known else None
        if isinstance(value, dict):
            given[name] = without_nulls(value, below)
        elif value is not None or not is_known:
            given[name] = value
        elif isinstance(shape, Many):
            given[name] = {}
    return given
