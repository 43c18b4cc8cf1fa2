"""The tree of settings is read off their classes."""

import pytest

from penstockd.config.schema import field_at, step
from penstockd.config.settings import Settings


@pytest.mark.parametrize("way", [("log", "level", "x"), ("models", "provider"), ("lag", "level")])
def test_there_is_nothing_where_no_setting_is(way: tuple[str, ...]) -> None:
    """Below a plain value, beside a name, under no section."""
    with pytest.raises(KeyError):
        field_at(Settings, way)


def test_a_plain_value_has_nothing_below_it() -> None:
    """It ends the path."""
    with pytest.raises(KeyError):
        step(None, "x")
