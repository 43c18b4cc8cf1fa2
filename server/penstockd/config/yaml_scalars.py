"""What a word without quotes means in YAML 1.2's core: a number, a switch, nothing, or itself."""

import re
from collections.abc import Callable
from typing import Final

import yaml

TAG: Final = "tag:yaml.org,2002:"
KINDS: Final[dict[str, Callable[[str], object]]] = {
    "null": lambda _: None,
    "bool": lambda text: text.lower() == "true",
    "int": int,
    "float": float,
}
"""What each kind makes of a text; raises ValueError for one that it cannot be."""
_LOOKS: Final = {
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "bool": (r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    "int": (r"[-+]?[0-9]{1,19}", list("-+0123456789")),
    "float": (r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]{1,3})?", list("-+.0123456789")),
}
"""What each kind looks like, and what it may begin with."""
_PATTERNS: Final = {kind: re.compile(rf"(?:{pattern})\Z") for kind, (pattern, _) in _LOOKS.items()}
_BEGUN_BY: Final = {
    sign: [kind for kind, (_, signs) in _LOOKS.items() if sign in signs]
    for sign in {sign for _, signs in _LOOKS.values() for sign in signs}
}


def understand(kind: type[yaml.resolver.BaseResolver]) -> None:
    """Have `kind` tell numbers, switches and nothing from text as `meaning` does."""
    for name, (_, signs) in _LOOKS.items():
        kind.add_implicit_resolver(TAG + name, _PATTERNS[name], signs)


def meaning(text: str) -> object:
    """The number, the switch or the nothing that `text` looks like, else the text."""
    for kind in _BEGUN_BY.get(text[:1], ()):
        if _PATTERNS[kind].match(text):
            return KINDS[kind](text)
    return text
