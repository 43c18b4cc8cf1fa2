"""Numbers as people read them at a glance."""

from collections.abc import Sequence
from math import floor, log10

_BLOCKS = "▁▂▃▄▅▆▇█"
_NOTHING = "-"


def seconds(value: float | None) -> str:
    """Write a duration with two or three digits: `740 µs`, `12.3 ms`, `1.25 s`."""
    if value is None:
        return _NOTHING
    if value < 1e-3:
        return f"{value * 1e6:.0f} µs"
    if value < 1:
        return f"{value * 1e3:.{1 if value < 0.0995 else 0}f} ms"
    return f"{value:.{2 if value < 9.995 else 1}f} s"


def span(value: float) -> str:
    """Write a long duration in its two largest units: `3 d 4 h`."""
    minutes, hours, days = int(value // 60), int(value // 3600), int(value // 86400)
    if days:
        return f"{days} d {hours % 24} h"
    if hours:
        return f"{hours} h {minutes % 60} min"
    return f"{minutes} min {int(value % 60)} s" if minutes else f"{int(value)} s"


def dollars(nanousd: float) -> str:
    """Write money: cents, and more digits of what is less than one."""
    usd = nanousd / 1e9
    decimals = 1 - floor(log10(usd)) if 0 < usd < 0.00995 else 2
    return f"${usd:,.{decimals}f}"


def exact_dollars(nanousd: int) -> str:
    """Write money exactly, with at least two decimals: `$0.00`, `$0.000123`."""
    whole, rest = divmod(nanousd, 10**9)
    cents, finer = divmod(rest, 10**7)
    return f"${whole}.{cents:02d}" + f"{finer:07d}".rstrip("0")


def percent(part: float) -> str:
    """Write a part of one, rounded down: what is not whole is not called so."""
    decimals = 1 if 0 < part < 0.1 else 0
    unit = 10**decimals
    return f"{floor(round(100 * part * unit, 6)) / unit:.{decimals}f}%"


def size(count: float) -> str:
    """Write a number of bytes."""
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.4g} {unit}"
        count /= 1024
    return f"{count:.4g} GiB"


def sparkline(values: Sequence[float | None]) -> str:
    """Draw values as blocks, the largest as high as a line; None is a gap."""
    top = max((value for value in values if value is not None), default=0) or 1
    return "".join(" " if value is None else _BLOCKS[round(value / top * (len(_BLOCKS) - 1))] for value in values)
