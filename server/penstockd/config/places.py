"""Settings that are places: files, addresses to listen at, URLs."""

import stat
from pathlib import Path
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, PlainSerializer, PlainValidator, ValidationInfo

from penstockd.config.address import Address, TcpAddress, parse_address
from penstockd.config.context import Context
from penstockd.config.errors import Mistake, nearest


def split_url(text: str, schemes: tuple[str, ...]) -> SplitResult:
    """The parts of a URL with one of `schemes`; raises Mistake, which does not say the text: it may be secret."""
    try:
        parts = urlsplit(text)
        has_host = parts.port != 0 and (bool(parts.hostname) or not parts.scheme.startswith("http"))
    except ValueError as error:
        raise Mistake("must be a URL with a host and perhaps a port") from error
    if parts.scheme not in schemes or not has_host or not text.isprintable() or " " in text:
        meant = None if parts.scheme in schemes else nearest(parts.scheme, schemes)
        begins = " or ".join(f"{scheme}://" for scheme in schemes)
        raise Mistake(f"must be a URL that begins with {begins}", meant and f"{meant}://")
    return parts


def read_text(path: Path) -> str:
    """What the file says; raises Mistake, which repeats no path that is rather the text of a file."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise Mistake(f"cannot read {_shown(path)}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise Mistake(f"cannot read {path}: it is not UTF-8") from error


def refuse_home(path: str) -> None:
    """Refuse a `~`, for which only a shell knows what it means; raises Mistake."""
    if path.startswith("~"):
        raise Mistake("must be spelled out: ~ is the name of a directory here; write ./~ for that")


def _shown(path: Path) -> str:
    return str(path) if str(path).isprintable() else "a file whose name has several lines"


def is_public(path: Path) -> bool:
    """Whether every user of the machine can read the file; what is no file, such as a pipe, goes to us alone."""
    mode = path.stat().st_mode
    return stat.S_ISREG(mode) and bool(mode & stat.S_IROTH)


def keep_private(path: Path, context: Context) -> None:
    """Refuse a secret that any user of the machine can read, where strangers may be about; elsewhere notice it."""
    if not is_public(path):
        return
    message = f"{path} can be read by every user of this machine; chmod o-r it"
    if context.is_guarded:
        raise Mistake(message)
    context.notes.append(message)


def _base_url(text: str) -> str:
    parts = split_url(text, ("http", "https"))
    if "@" in parts.netloc:
        raise Mistake("must not have credentials in it; there are api_key and headers for them")
    if parts.query or parts.fragment:
        raise Mistake("must end with its path, without query and fragment")
    return text.rstrip("/")


def _path(value: object, info: ValidationInfo[Context]) -> Path:
    if not isinstance(value, str) or not value or not value.isprintable():
        raise Mistake("must be a path")
    refuse_home(value)
    return info.context.base / value


def _readable(path: Path) -> Path:
    try:
        with path.open("rb"):
            return path
    except OSError as error:
        raise Mistake(f"cannot read {path}: {error.strerror}") from error


def _private(path: Path, info: ValidationInfo[Context]) -> Path:
    keep_private(path, info.context)
    return path


def _address(value: object, info: ValidationInfo[Context]) -> Address:
    return parse_address(value, info.context.base)


def _tcp_address(value: object, info: ValidationInfo[Context]) -> TcpAddress:
    address = parse_address(value, info.context.base)
    if not isinstance(address, TcpAddress):
        raise Mistake("must be HOST:PORT: there is no unix socket for HTTP")
    return address


BaseUrl = Annotated[str, AfterValidator(_base_url)]
"""Where an HTTP API begins, without a slash at its end and without credentials."""

Directory = Annotated[Path, PlainValidator(_path), PlainSerializer(str)]
"""A directory that may not be there yet; a relative path starts at the configuration file."""

ReadableFile = Annotated[Path, PlainValidator(_path), AfterValidator(_readable), PlainSerializer(str)]
"""A file that can be read now; a relative path starts at the configuration file."""

PrivateFile = Annotated[ReadableFile, AfterValidator(_private)]
"""A file that can be read now, though not by everybody."""

ListenAddress = Annotated[Address, PlainValidator(_address), PlainSerializer(str)]
"""Where to listen: `HOST:PORT`, `[IPV6]:PORT` or `unix:PATH`."""

TcpListenAddress = Annotated[TcpAddress, PlainValidator(_tcp_address), PlainSerializer(str)]
"""Where to listen for HTTP: `HOST:PORT` or `[IPV6]:PORT`."""
