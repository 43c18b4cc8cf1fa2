"""Values that must not be shown."""

from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import PlainSerializer, PlainValidator, ValidationInfo

from penstockd.config.context import Context
from penstockd.config.errors import Mistake
from penstockd.config.places import keep_private, read_text, split_url
from penstockd.logs.redaction import MASK


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """A text that prints as a mask; `reveal` gives it to the one place that needs it."""

    _text: str

    def reveal(self) -> str:
        """The text itself."""
        return self._text

    def __str__(self) -> str:
        return MASK

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self!s})"


@dataclass(frozen=True, slots=True, repr=False)
class SecretUrl(Secret):
    """A URL that prints with its credentials and its query masked."""

    def __str__(self) -> str:
        url = urlsplit(self._text)
        _, at, host = url.netloc.rpartition("@")
        return url._replace(netloc=f"{MASK}{at}{host}" if at else host, query=url.query and MASK).geturl()


def _text(value: object, info: ValidationInfo[Context]) -> str:
    match value:
        case str(text):
            pass
        case {"file": str(path), **rest} if not rest:
            text = read_text(info.context.base / path).strip()
            keep_private(info.context.base / path, info.context)
        case _:
            raise Mistake("must be text in quotes, or {file: PATH}")
    if not text or not text.isprintable():
        raise Mistake("must be one line of text, and not an empty one")
    return text


def _secret(value: object, info: ValidationInfo[Context]) -> Secret:
    return Secret(_text(value, info))


def _secret_url(*schemes: str) -> PlainValidator:
    def read(value: object, info: ValidationInfo[Context]) -> SecretUrl:
        text = _text(value, info)
        split_url(text, schemes)
        return SecretUrl(text)

    return PlainValidator(read)


def _database_url(value: object, info: ValidationInfo[Context]) -> SecretUrl:
    text = _text(value, info)
    parts = split_url(text, ("sqlite", "postgresql"))
    if parts.scheme == "sqlite" and (parts.netloc or not parts.path.strip("/") or parts.query or parts.fragment):
        raise Mistake("must be sqlite:/// and the path of a file: one more slash where it starts at the root")
    return SecretUrl(text)


SecretText = Annotated[Secret, PlainValidator(_secret), PlainSerializer(str)]
"""A secret, as text or as `{file: PATH}`."""

ProxyUrl = Annotated[SecretUrl, _secret_url("http", "https"), PlainSerializer(str)]
"""An HTTP proxy, perhaps with credentials."""

RedisUrl = Annotated[SecretUrl, _secret_url("redis", "rediss", "unix"), PlainSerializer(str)]
"""A Redis server."""

DatabaseUrl = Annotated[SecretUrl, PlainValidator(_database_url), PlainSerializer(str)]
"""A database: PostgreSQL, or a file of SQLite."""
