"""Puts what is wrong into sentences."""

from math import floor


def percent(fraction: float) -> str:
    """Rounded down, as the page and `penstock top` do: what is not whole is not called so."""
    decimals = 1 if 0 < fraction < 0.1 else 0
    unit = 10**decimals
    return f"{floor(round(100 * fraction * unit, 6)) / unit:.{decimals}f}%"


def words(label: str) -> str:
    """Write a cause or a reason as people would."""
    return label.replace("_", " ")


def plural(count: int, noun: str) -> str:
    """Write so many of a thing."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
