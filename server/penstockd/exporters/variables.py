"""The standard OTEL_* variables, read so that none of them keeps the daemon from serving."""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from opentelemetry.sdk.trace import SpanLimits

NO_LIMIT: Final = SpanLimits.UNSET
LONGEST_EXPORT: Final = 10.0
"""Seconds for one export over OTLP, where OTEL_EXPORTER_OTLP_TIMEOUT, or that of a signal, does not say."""
FIRST_OF_MILLISECONDS: Final = 1000.0
"""From here on a timeout is not in seconds: so long, nobody would learn of a collector that hangs."""
_COUNT: Final = re.compile(r"[0-9]{1,10}")
_SECONDS: Final = re.compile(r"[0-9]{0,9}\.?[0-9]{0,9}")
_CREDENTIALS: Final = (
    "OTEL_PYTHON_EXPORTER_OTLP_HTTP_CREDENTIAL_PROVIDER",
    "OTEL_PYTHON_EXPORTER_OTLP_HTTP_{signal}_CREDENTIAL_PROVIDER",
)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Ignored:
    """A variable that says nothing we can use, as people would set it, and what is done instead."""

    setting: str
    instead: str


class Variables:
    """What the variables say; what the SDK would raise over is read here and handed to it, the rest it reads itself.

    An empty variable counts as unset. `ignored` are those that cannot be used, as far as they were read.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.ignored: list[Ignored] = []

    def raw(self, name: str) -> str:
        """What a variable holds, if anything, as the SDK takes it."""
        return self._environ.get(name, "")

    def text(self, name: str) -> str:
        """What a variable holds, without blanks around it; bytes that are no UTF-8, and cannot be sent, replaced."""
        return self.raw(name).strip().encode(errors="replace").decode()

    def of(self, signal: str, what: str) -> str:
        """The variable that says `what` of the OTLP of a signal: its own where that is set, else that of all.

        Blanks count as unset, but not as an ENDPOINT, which the SDK reads itself.
        """
        own = f"OTEL_EXPORTER_OTLP_{signal}_{what}"
        is_set = self.raw(own) if what == "ENDPOINT" else self.text(own)
        return own if is_set else f"OTEL_EXPORTER_OTLP_{what}"

    def count(self, name: str, default: int, *, least: int = 1) -> int:
        """The whole number from `least` on that a variable holds, else the default."""
        text = self.text(name)
        if _COUNT.fullmatch(text) and int(text) >= least:
            return int(text)
        if text:
            self.ignore(f"{name}={text}", "no limit" if default == NO_LIMIT else str(default))
        return default

    def timeout(self, signal: str) -> float:
        """The seconds that one export of a signal may take, else the default.

        Python's SDK counts in seconds, OpenTelemetry's specification in milliseconds.
        """
        name = self.of(signal, "TIMEOUT")
        text = self.text(name)
        if _SECONDS.fullmatch(text) and (said := float(f"0{text}")) > 0:
            if said < FIRST_OF_MILLISECONDS:
                return said
            self.ignore(f"{name}={text}", f"{said / 1000:g} s: it is taken for milliseconds")
            return said / 1000
        if text:
            self.ignore(f"{name}={text}", f"{LONGEST_EXPORT:g} s")
        return LONGEST_EXPORT

    def limit(self, name: str, default: int = NO_LIMIT) -> int:
        """The limit that a variable sets, which may be `unset`, else the default."""
        return NO_LIMIT if self.text(name).lower() == "unset" else self.count(name, default, least=0)

    def choice(self, name: str, choices: Collection[str], default: str) -> str:
        """Which of `choices` a variable names, else the default."""
        text = self.text(name).lower()
        if text in choices:
            return text
        if text:
            self.ignore(f"{name}={text}", default)
        return default

    def made(self, make: Callable[[], T], signal: str) -> T | None:
        """The exporter of a signal that `make` makes; None if that raises, as what provides its credentials may."""
        try:
            return make()
        except Exception as error:  # noqa: BLE001 - it is loaded by its name, and may raise anything
            names = [name.format(signal=signal) for name in _CREDENTIALS]
            named = [f"{name}={self.text(name)}" for name in names if self.text(name)]
            self.ignore(", ".join(named) or f"OTEL_{signal}_EXPORTER", f"nothing is exported: {error}")
            return None

    def ignore(self, setting: str, instead: str) -> None:
        """Note that `setting` cannot be used, once."""
        ignored = Ignored(setting, instead)
        if ignored not in self.ignored:
            self.ignored.append(ignored)
