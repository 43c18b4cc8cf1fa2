"""Waits for a place at one of several models that are full."""

import asyncio
from collections.abc import Callable, Sequence

from penstockd.model import Model


async def first_room(models: Sequence[Model], seconds: float) -> Model | None:
    """Return the first of `models` to have room within `seconds`, its permit taken, or None.

    Waiters are served in the order they came; a permit granted to one who left meanwhile goes to the next.
    """
    granted: asyncio.Future[Model] = asyncio.get_running_loop().create_future()
    places = [place for model in models if (place := model.permits.enqueue(_grant(model, granted))) is not None]
    if not places:
        return None
    try:
        await asyncio.wait([granted], timeout=seconds)
    except asyncio.CancelledError:
        if granted.done():
            granted.result().permits.release()
        raise
    finally:
        for place in places:
            place.leave()
        granted.cancel()
    return None if granted.cancelled() else granted.result()


def _grant(model: Model, granted: asyncio.Future[Model]) -> Callable[[], None]:
    def grant() -> None:
        if granted.done():
            model.permits.release()
            return
        granted.set_result(model)

    return grant
