"""Where two configurations differ."""

from collections.abc import Iterator, Mapping

from penstockd.config.section import Section


def differences(before: object, after: object, path: str = "") -> Iterator[str]:
    """The paths of all settings that differ, such as "models.fast.timeouts.idle"; never a value.

    What is there in one of them only, such as a model, is named as a whole; so is a list.
    """
    old, new = _parts(before), _parts(after)
    if old is None or new is None:
        if before != after:
            yield path
        return
    for name in dict.fromkeys((*new, *old)):
        inner = f"{path}.{name}" if path else name
        if name in old and name in new:
            yield from differences(old[name], new[name], inner)
        else:
            yield inner


def _parts(value: object) -> Mapping[str, object] | None:
    match value:
        case Section():
            return {name: getattr(value, name) for name in type(value).model_fields}
        case dict():
            return value
        case _:
            return None
