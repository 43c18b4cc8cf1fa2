"""Keeps secrets out of what is written, whoever wrote it: by their values where known, else by their looks."""

import re
from collections.abc import Iterable, Sequence
from typing import Final
from urllib.parse import quote

import msgspec

MASK: Final = "***"
SHORTEST: Final = 8
"""Characters from which on a value is looked for: a shorter one may well be a part of any word."""

_KEY: Final = re.compile(r"\b(pk_[0-9A-Za-z]{8,}|sk-[0-9A-Za-z_-]{12,})")
_BEARER: Final = re.compile(r"(\bbearer\s+)[0-9a-z._~+/=-]{6,}", re.IGNORECASE)
_HEADER: Final = re.compile(
    # What follows `models.fast.api_key` after a comma is the next of a list, as a reload names what has changed; and
    # what is followed by a colon is the name of a line's next field.
    r"""((?:(?:authorization|api[-_]?key)[\\"']*\s*[:=]|"""
    r"""(?<!\.)(?:authorization|api[-_]?key)[\\"']*\s*,(?!\s*"\w+"\s*:))"""
    r"""\s*b?[\\"']*(?:(?:basic|bearer)\s+)?)(?!\*)[^\s\\"',;)}\]]{6,}""",
    re.IGNORECASE,
)
_SIGNS: Final = ("pk_", "sk-", "bearer", "authorization")
"""One of these or of the next is in every text that holds a match, in lower case; looking costs next to nothing."""
_SIGNS_OF_API: Final = ("apikey", "api-key", "api_key")
"""What is looked for only where there is an "api" at all."""


class Redaction:
    """Masks the secrets it was told of, API keys, and what stands where credentials stand."""

    def __init__(self) -> None:
        self._told: frozenset[str] = frozenset()
        self._secrets: Sequence[str] = ()

    def hide(self, secrets: Iterable[str]) -> None:
        """Mask these from now on, and still those of last time, which calls in flight may be using."""
        told = frozenset(secret for secret in secrets if len(secret) >= SHORTEST)
        forms = {form for secret in self._told | told for form in (secret, _in_json(secret), quote(secret, safe=""))}
        self._told = told
        # A secret may be a part of another one.
        self._secrets = sorted(forms, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        """Return `text` without secrets."""
        for secret in self._secrets:
            if secret in text:
                text = text.replace(secret, MASK)
        return "\n".join(map(_masked, text.split("\n"))) if _may_match(text) else text


def _may_match(text: str) -> bool:
    lower = text.lower()
    return any(sign in lower for sign in _SIGNS) or ("api" in lower and any(sign in lower for sign in _SIGNS_OF_API))


def _masked(line: str) -> str:
    if not _may_match(line):
        return line
    line = _KEY.sub(MASK, line)
    line = _HEADER.sub(rf"\1{MASK}", line)
    return _BEARER.sub(rf"\1{MASK}", line)


def _in_json(secret: str) -> str:
    """The secret as it stands within a line of JSON."""
    return msgspec.json.encode(secret).decode()[1:-1]
