"""What holds for every test of the exporters."""

import threading
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def nobody_stays() -> Iterator[None]:
    """No thread outlives its test: one that tries again draws random numbers, which spoils those of property tests."""
    before = set(threading.enumerate())
    yield
    begun = set(threading.enumerate()) - before
    for thread in begun:
        thread.join(5)
    assert [thread.name for thread in begun if thread.is_alive()] == []
