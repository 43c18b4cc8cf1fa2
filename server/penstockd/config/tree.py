"""The configuration before it is checked: maps, lists and scalars."""

Tree = dict[str, object]
Path = tuple[str, ...]


def branch(tree: object, *path: str) -> Tree:
    """The map at `path`; an empty one where there is none."""
    for name in path:
        tree = tree.get(name) if isinstance(tree, dict) else None
    return tree if isinstance(tree, dict) else {}
