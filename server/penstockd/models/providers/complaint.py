"""What an upstream says went wrong, however it nests it."""

from collections.abc import Iterator

from msgspec import Struct

from penstockd.models.providers.retry_hint import retry_delay

MAX_MESSAGE = 300
"""Characters of an upstream's message that are passed on."""
MOST_READ = 16 << 10
"""Characters that are read of it: who cuts it masks it first, and needs all of a secret as long as a header may be."""


class Complaint(Struct, frozen=True):
    """What an upstream says went wrong: its words, its labels in lower case, and a status if one is among them.

    `retry_after` is by when it may be asked again, in seconds, if that is said there.
    """

    message: str
    labels: frozenset[str]
    status: int | None = None
    retry_after: float | None = None

    @property
    def beginning(self) -> str:
        """Where the words stand that tell something; a search through all of them may take long."""
        return self.message[:MAX_MESSAGE]


def complaint_of(said: object) -> Complaint:
    """Read what OpenAI, Anthropic and servers compatible with either say, decoded from JSON."""
    said = _first(said)
    if isinstance(said, dict) and said.get("error"):
        said = _first(said["error"])
    if isinstance(said, str):
        return Complaint(_clean(said), frozenset())
    if not isinstance(said, dict):
        return Complaint("", frozenset())
    code = said.get("code")
    told = (said.get("type"), code, *_told_beside(said.get("metadata")))
    labels = frozenset(_clean(label).lower() for label in told if label and isinstance(label, str))
    message = said.get("message") or said.get("detail")
    return Complaint(
        _clean(message) if isinstance(message, str) else "",
        labels,
        code if isinstance(code, int) and 400 <= code < 600 else None,
        retry_delay(said.get("details")),
    )


def _first(said: object) -> object:
    """What is said, or the first of it where it comes in a list."""
    if not isinstance(said, list):
        return said
    return said[0] if said else None


def _told_beside(metadata: object) -> Iterator[object]:
    """The labels in what OpenRouter tells beside an error: its kind, and whether it was the input."""
    if isinstance(metadata, dict):
        yield metadata.get("error_type")
        yield "flagged_input" if metadata.get("flagged_input") or metadata.get("reasons") else None


def _clean(text: str) -> str:
    return "".join(letter for letter in text[:MOST_READ] if letter.isprintable())
