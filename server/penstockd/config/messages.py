"""What the checks found, in words for people."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from penstockd.config.assignment import Assignment
from penstockd.config.errors import ConfigError, Mistake, dotted, nearest
from penstockd.config.schema import Shape, names_in, step
from penstockd.config.settings import Settings

_WORDS: Final = {
    "missing": "required",
    "string_type": "must be text; put it in quotes",
    "string_too_short": "must not be empty",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing_size": "must be a whole number of at most 19 digits",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "model_type": "must be a map of settings",
    "dict_type": "must be a map",
    "tuple_type": "must be a list",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "too_long": "must have at most {max_length} entries",
}
_FOLLOWS: Final = "default_factory_not_called"  # another mistake's echo


def explain(error: ValidationError, assignments: Sequence[Assignment]) -> Iterator[ConfigError]:
    """Each mistake by its path, with the name in the environment that brought it, where one did."""
    for detail in error.errors(include_url=False, include_input=True):
        if detail["type"] == _FOLLOWS:
            continue
        path = tuple(part for part in detail["loc"] if isinstance(part, int) or not part.startswith("["))
        message, suggestion = _say(detail, path)
        yield ConfigError(dotted(path), message + _origin(path, assignments), suggestion)


def _say(detail: ErrorDetails, path: tuple[str | int, ...]) -> tuple[str, str | None]:
    context = detail.get("ctx", {})
    match detail["type"], context.get("error"):
        case _, Mistake() as mistake:
            return mistake.message, mistake.suggestion
        case "extra_forbidden", _:
            return "unknown setting", nearest(str(path[-1]), names_in(_shape(path[:-1])))
        case "literal_error", _:
            allowed = re.findall(r"'([^']*)'", context["expected"])
            return f"must be {' or '.join(allowed)}", nearest(str(detail["input"]), allowed)
        case kind, _:
            said = detail["msg"][:1].lower() + detail["msg"][1:]
            return _WORDS.get(kind, said).format_map(context), None


def _shape(path: tuple[str | int, ...]) -> Shape:
    shape: Shape = Settings
    for part in path:
        shape = step(shape, part)
    return shape


def _origin(path: tuple[str | int, ...], assignments: Sequence[Assignment]) -> str:
    origin = next((each.origin for each in reversed(assignments) if each.sets(path)), None)
    return f" (from {origin})" if origin else ""
