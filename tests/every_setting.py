"""Every setting that there is, by its path."""

from collections.abc import Iterator

from penstockd.config.schema import Many, Shape, names_in, step


def every_setting(shape: Shape, path: str = "") -> Iterator[str]:
    """The path of every plain value below `shape`, such as `models.<name>.timeouts.connect`."""
    match shape:
        case None:
            yield path
        case Many(section, is_map):
            yield from every_setting(section, f"{path}.<name>" if is_map else f"{path}[]")
        case _:
            for name in names_in(shape):
                yield from every_setting(step(shape, name), f"{path}.{name}".removeprefix("."))
