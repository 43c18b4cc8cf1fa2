"""Settings of later versions: their form is checked, and they are refused rather than ignored."""

from collections.abc import Iterator
from typing import Annotated, Final

from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from penstockd.config.context import Context
from penstockd.config.errors import ConfigError, dotted
from penstockd.config.schema import field_at
from penstockd.config.settings import Settings
from penstockd.config.tree import Path, Tree, find

NOT_YET: Final = (
    "agents.*.cache",
    "cache.enabled",
    "cache.ttl",
    "cache.max_entries",
    "cache.max_bytes",
    "redis_url",
)


class NotYet:
    """Sorts what is set too early: `errors` for what would change something, `warnings` for what says the default.

    What switches a thing off is fine, and what is malformed is left to the check of its form.
    """

    def __init__(self, tree: Tree, context: Context) -> None:
        self.errors: list[ConfigError] = []
        self.warnings: list[str] = []
        for pattern in NOT_YET:
            way = tuple(pattern.split("."))
            field = field_at(Settings, way)
            for path, raw in find(tree, way):
                for value in _read(field, raw, context):
                    self._judge(path, value, field)

    def _judge(self, path: Path, value: object, field: FieldInfo) -> None:
        if not value or value == "off":
            return
        if value == field.get_default(call_default_factory=True):
            self.warnings.append(f"{dotted(path)}: has no effect yet in this version")
        else:
            self.errors.append(ConfigError(dotted(path), "not yet supported in this version"))


def _read(field: FieldInfo, raw: object, context: Context) -> Iterator[object]:
    form: TypeAdapter[object] = TypeAdapter(Annotated[field.annotation, field])  # type: ignore[arg-type]
    try:
        yield form.validate_python(raw, context=context)
    except ValidationError:
        return
