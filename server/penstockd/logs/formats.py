"""How a line is written: one JSON object, or the same for eyes on a terminal."""

import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache

import msgspec

from penstockd.logs.log import NOTHING, renamed


class JsonFormatter(logging.Formatter):
    """One JSON object a line, its fields flat."""

    _encode = msgspec.json.Encoder(enc_hook=str).encode

    def format(self, record: logging.LogRecord) -> str:
        """Return the line for `record`, without the line break."""
        fields: Mapping[str, object] = getattr(record, "fields", NOTHING)
        own = {
            "timestamp": _timestamp(record.created),
            "level": record.levelname,
            "service": "penstockd",
            "message": record.getMessage() if record.args else str(record.msg),
        }
        line: dict[str, object] = {**own, **fields}
        if len(line) < len(own) + len(fields):
            line = {**own, **renamed(fields, own)}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        try:
            text = self._encode(line).decode()
            # JSON lets through what some terminals obey, or turn the line around by.
            return text if text.isprintable() else "".join(map(_escaped, text))
        except (ValueError, OverflowError):
            # Of which JSON knows no NaN: what is none for msgspec becomes none here.
            plain = json.loads(json.dumps(line, default=str), parse_constant=_none)
            return json.dumps(plain)


class PrettyFormatter(logging.Formatter):
    """Time, level, message and fields, for a person at a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line for `record`, without the line break."""
        at = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S.%f")[:-3]
        fields = "".join(f"  {name}={_shown(value)}" for name, value in getattr(record, "fields", NOTHING).items())
        line = f"{at} {record.levelname:<7} {record.getMessage()}{fields}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def _shown(value: object) -> str:
    """The value on one line, and as one, whatever a caller put into it."""
    text = str(value)
    return text if text.isprintable() and "  " not in text else repr(text)


def _escaped(character: str) -> str:
    return character if character.isprintable() else json.dumps(character)[1:-1]


def _none(_: str) -> None:
    """What NaN and the infinities become."""


def _timestamp(seconds: float) -> str:
    return _millisecond(int(seconds * 1000))


@lru_cache(maxsize=2)
def _millisecond(milliseconds: int) -> str:
    return f"{_second(milliseconds // 1000)}.{milliseconds % 1000:03}Z"


@lru_cache(maxsize=2)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
