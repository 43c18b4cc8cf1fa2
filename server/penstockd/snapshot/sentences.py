"""Puts what is wrong into sentences."""

from math import floor

from penstockd.metrics.instruments import OTHER

CROWD = "tenants without a label of their own"
"""Who is not told apart."""


def percent(fraction: float) -> str:
    """Rounded down, as the page and `penstock top` do: what is not whole is not called so."""
    decimals = 1 if 0 < fraction < 0.1 else 0
    unit = 10**decimals
    return f"{floor(round(100 * fraction * unit, 6)) / unit:.{decimals}f}%"


def words(label: str) -> str:
    """Write a cause or a reason as people would."""
    return label.replace("_", " ")


def calls_of(tenant: str, count: int) -> str:
    """Write whose calls they are: all of one tenant, or of the crowd."""
    calls = plural(count, "call")
    return f"the {calls} of {CROWD}" if tenant == OTHER else f"{tenant}'s {calls}"


def plural(count: int, noun: str) -> str:
    """Write so many of a thing."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
