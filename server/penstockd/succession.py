"""Which runtime serves: one after the other, without a call lost in between."""

import asyncio
from collections.abc import Coroutine, Mapping

from penstockd.circuit_watch import CircuitWatch
from penstockd.grpc_adapter import Adapter
from penstockd.health import Health
from penstockd.model import Model
from penstockd.resilience.circuit import State, Transition
from penstockd.runtime import Runtime

LAST_CHANCE = 1.0
"""Seconds that calls still have to end once their models are to be closed for good."""


class Succession:
    """Puts runtimes into service; the one before stays until the calls that came by it have ended."""

    def __init__(self, *, adapter: Adapter, health: Health, circuits: CircuitWatch) -> None:
        """Serve nothing yet; what becomes of the models' circuits is shown by `health` and told to `circuits`.

        `refused` is what keeps the configuration on disk from being the next, until one is.
        """
        self.present: Runtime | None = None
        self.refused = ""
        self._adapter = adapter
        self._health = health
        self._circuits = circuits
        self._leaving: set[asyncio.Task[None]] = set()

    @property
    def models(self) -> Mapping[str, Model]:
        """The models that are in service now."""
        return self.present.pool.models if self.present else {}

    def use(self, runtime: Runtime) -> None:
        """Serve by `runtime` from now on; calls in flight end by the one they came by."""
        before, self.present, self.refused = self.present, runtime, ""
        self._health.set_models({name: _is_serving(model) for name, model in runtime.pool.models.items()})
        has_older_calls = self._adapter.serve(runtime.endpoints)
        if before is not None:
            self._leave(before.pool.close(but=runtime.pool, is_used=has_older_calls))

    def changed(self, model: Model, transition: Transition | None) -> None:
        """Show a change of a model's circuit, if there was one; health is about models in service alone."""
        if transition is None:
            return
        if self.models.get(model.name) is model:
            self._health.set_model(model.name, is_serving=_is_serving(model))
        self._circuits.tell(model, transition)

    async def close(self) -> None:
        """Close every connection to the models, at the latest after a last chance for their calls to end."""
        if self.present is not None:
            self._leave(self.present.pool.close())
        if self._leaving:
            _, stuck = await asyncio.wait(self._leaving, timeout=LAST_CHANCE)
            for task in stuck:
                task.cancel()
            await asyncio.gather(*stuck, return_exceptions=True)

    def _leave(self, closing: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(closing)
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)


def _is_serving(model: Model) -> bool:
    return model.breaker.state is State.CLOSED and model.breaker.is_enabled
