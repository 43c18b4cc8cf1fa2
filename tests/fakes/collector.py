"""What is freed by itself, without the garbage collector."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


@contextmanager
def uncollected() -> Iterator[None]:
    """Let nothing be freed in the block but what nobody holds on to."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def alive(kind: type[T], is_meant: Callable[[T], object]) -> list[T]:
    """The objects of `kind` that are there, as far as they are meant."""
    return [each for each in gc.get_objects() if isinstance(each, kind) and is_meant(each)]
