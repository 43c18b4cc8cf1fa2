"""The pepper under which callers' keys are digested."""

from collections.abc import Iterator
from typing import Final

VARIABLE: Final = "PENSTOCK_KEY_PEPPER"
SHORTEST: Final = 16
"""Characters that nobody guesses, if chance has chosen them."""


def weakness(pepper: str, name: str) -> Iterator[str]:
    """What people should be told of a pepper that could be guessed; they know it by `name`."""
    if len(pepper) < SHORTEST:
        yield (
            f"{name}: has fewer than {SHORTEST} characters and can be guessed: `openssl rand -base64 32` makes a "
            "better one, under which all keys are made anew"
        )
