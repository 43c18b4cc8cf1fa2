"""The tree of settings is read off their classes."""

import pytest

from penstockd.config.schema import step


def test_a_plain_value_has_nothing_below_it() -> None:
    """It ends the path."""
    with pytest.raises(KeyError):
        step(None, "x")
