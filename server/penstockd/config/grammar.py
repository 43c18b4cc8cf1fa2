"""How durations, sizes, rates and money are written, both ways and without rounding."""

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Final

from penstockd.config.errors import Mistake

_DURATION: Final = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)(ms|s|m|h|d)", re.ASCII)
_SECONDS: Final = {"d": Decimal(86400), "h": Decimal(3600), "m": Decimal(60), "s": Decimal(1), "ms": Decimal("0.001")}
_SIZE: Final = re.compile(r"(\d{1,18})(B|KiB|MiB|GiB|TiB)", re.ASCII)
_BYTES: Final = {"TiB": 1 << 40, "GiB": 1 << 30, "MiB": 1 << 20, "KiB": 1 << 10, "B": 1}
_RATE: Final = re.compile(r"(\d{1,12})/([smhd])", re.ASCII)
_UNITS: Final = {float(seconds): unit for unit, seconds in _SECONDS.items()}
_NANO: Final = 10**9


@dataclass(frozen=True, slots=True)
class RateSetting:
    """So many things in each period of so many seconds; prints as it is written: `600/m`."""

    count: int
    period: float

    @property
    def per_second(self) -> float:
        """The same as an average."""
        return self.count / self.period

    def __str__(self) -> str:
        return f"{self.count}/{_UNITS[self.period]}"


def parse_duration(value: object) -> float:
    """Seconds of a text such as `250ms`, `2s`, `10m`, `24h` or `400d`; a bare 0 needs no unit."""
    if not isinstance(value, bool) and value in (0, "0"):
        return 0.0
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise Mistake("must be a duration such as 250ms, 2s, 10m, 24h or 400d", _with_unit(value, "s"))
    return float(Decimal(match[1]) * _SECONDS[match[2]])


def show_duration(seconds: float) -> str:
    """The shortest text that `parse_duration` reads as `seconds`."""
    exact = Decimal(repr(seconds))
    if 0 < exact < 1:
        return f"{(exact * 1000).normalize():f}ms"
    unit = next((unit for unit in "dhm" if exact and exact % _SECONDS[unit] == 0), "s")
    return f"{(exact / _SECONDS[unit]).normalize():f}{unit}"


def parse_size(value: object) -> int:
    """Bytes of a text such as `256MiB`, or of a whole number."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise Mistake("must be a size such as 512KiB or 256MiB", _binary_unit(value))
    return int(match[1]) * _BYTES[match[2]]


def show_size(size: int) -> str:
    """The shortest text that `parse_size` reads as `size`."""
    unit = next((unit for unit, scale in _BYTES.items() if size >= scale and size % scale == 0), "B")
    return f"{size // _BYTES[unit]}{unit}"


def parse_rate(value: object) -> RateSetting:
    """A text such as `10/s`, `600/m`, `100/h` or `1000/d`."""
    match = _RATE.fullmatch(value) if isinstance(value, str) else None
    if match is None or int(match[1]) == 0:
        raise Mistake("must be a rate such as 10/s, 600/m, 100/h or 1000/d", _with_unit(value, "/m"))
    return RateSetting(int(match[1]), float(_SECONDS[match[2]]))


def parse_usd(value: object) -> int:
    """Nano-USD of an amount in USD, exactly; what a nano-USD cannot express is refused."""
    nano = _decimal(value) * _NANO
    if not 0 <= nano < _NANO**2 or nano != int(nano):
        raise Mistake("must be an amount in USD, not negative and with at most 9 decimals")
    return int(nano)


def show_usd(nano: int) -> int | float:
    """The number that `parse_usd` reads as `nano`."""
    whole, rest = divmod(nano, _NANO)
    return float(Decimal(nano) / _NANO) if rest else whole


def _decimal(value: object) -> Decimal:
    try:
        amount = Decimal(repr(value) if isinstance(value, float) else str(value))
    except InvalidOperation:
        amount = Decimal("NaN")
    if isinstance(value, bool) or not amount.is_finite():
        raise Mistake("must be an amount in USD, such as 0.15")
    return amount


def _with_unit(value: object, unit: str) -> str | None:
    is_number = not isinstance(value, bool) and re.fullmatch(r"[1-9]\d{0,8}(\.\d{1,9})?", str(value), re.ASCII)
    return f"{value}{unit}" if is_number else None


def _binary_unit(value: object) -> str | None:
    match = re.fullmatch(r"(\d{1,12}) ?([KMGT])i?B?", str(value), re.IGNORECASE | re.ASCII)
    return f"{match[1]}{match[2].upper()}iB" if match else None
