"""The configuration before it is checked: maps, lists and scalars."""

Tree = dict[str, object]
Path = tuple[str, ...]


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
