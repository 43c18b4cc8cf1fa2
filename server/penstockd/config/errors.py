"""What is wrong with a configuration, said so that people can put it right."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass


class Mistake(ValueError):
    """A value is wrong: what it must be instead, and, where one comes to mind, what was probably meant."""

    def __init__(self, message: str, suggestion: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.suggestion = suggestion


@dataclass(frozen=True, slots=True)
class ConfigError:
    """One mistake: where, what, and what was probably meant. Prints as one line without secrets."""

    path: str
    message: str
    suggestion: str | None = None

    @property
    def text(self) -> str:
        """What, and what was probably meant."""
        return f'{self.message}; did you mean "{self.suggestion}"?' if self.suggestion else self.message

    def __str__(self) -> str:
        return f"{self.path}: {self.text}"


class ConfigErrors(Exception):
    """Every mistake of a configuration once, ordered by path."""

    def __init__(self, errors: Iterable[ConfigError]) -> None:
        self.errors = tuple(sorted(set(errors), key=str))
        super().__init__("\n".join(map(str, self.errors)))


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The one known word that begins with `word`, else the one that looks most like it, if any does."""
    candidates = list(known)
    begun = [candidate for candidate in candidates if word and candidate.startswith(word)]
    return begun[0] if len(begun) == 1 else next(iter(difflib.get_close_matches(word, candidates, n=1)), None)


def dotted(path: Iterable[str | int]) -> str:
    """A path as people write it: `tenants.acme.keys[0].hash`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")
