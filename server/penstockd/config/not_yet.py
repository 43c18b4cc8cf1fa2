"""Settings of later versions: their form is checked, and they are refused rather than ignored."""

from collections.abc import Iterator
from typing import Annotated, Final

from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from penstockd.config.context import Context
from penstockd.config.errors import ConfigError, dotted
from penstockd.config.schema import field_at
from penstockd.config.settings import Settings
from penstockd.config.tree import Tree, find

NOT_YET: Final = ("redis_url",)


class NotYet:
    """Finds what is set too early: `errors` say what. What is malformed is left to the check of its form."""

    def __init__(self, tree: Tree, context: Context) -> None:
        self.errors: list[ConfigError] = []
        for pattern in NOT_YET:
            way = tuple(pattern.split("."))
            field = field_at(Settings, way)
            for path, raw in find(tree, way):
                if any(_read(field, raw, context)):
                    self.errors.append(ConfigError(dotted(path), "not yet supported in this version"))


def _read(field: FieldInfo, raw: object, context: Context) -> Iterator[object]:
    form: TypeAdapter[object] = TypeAdapter(Annotated[field.annotation, field])  # type: ignore[arg-type]
    try:
        yield form.validate_python(raw, context=context)
    except ValidationError:
        return
