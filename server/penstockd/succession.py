"""Which runtime serves: one after the other, without a call lost in between."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence

from penstockd.circuit_watch import CircuitWatch
from penstockd.grpc_adapter import Adapter
from penstockd.health import Health
from penstockd.model import Model
from penstockd.models.pool import Pool, close_all
from penstockd.resilience.circuit import State, Transition
from penstockd.runtime import Runtime

LAST_CHANCE = 1.0
"""Seconds that calls still have to end once their models are to be closed for good."""


class Succession:
    """Puts runtimes into service; the one before stays until nothing is under way by it."""

    def __init__(self, *, adapter: Adapter, health: Health, circuits: CircuitWatch) -> None:
        """Serve nothing yet; what becomes of the models' circuits is shown by `health` and told to `circuits`.

        `refused` is what keeps the configuration on disk from being the next, until one is.
        """
        self.present: Runtime | None = None
        self.refused = ""
        self._adapter = adapter
        self._health = health
        self._circuits = circuits
        self._older: tuple[Runtime, ...] = ()
        self._closing: set[asyncio.Task[None]] = set()

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
            self._older = (*self._older, before)
            self._start(self._leave(self._older, runtime.pool, has_older_calls))

    def discard(self, providers: Iterable[object]) -> None:
        """Close `providers`, which were made for a runtime that was then refused."""
        self._start(close_all(providers))

    def changed(self, model: Model, transition: Transition | None) -> None:
        """Show a change of a model's circuit, if there was one; health is about models in service alone."""
        if transition is None:
            return
        present = self.models.get(model.name)
        # A model that only trusts somebody else since a reload has kept its circuit.
        if present is not None and present.breaker is model.breaker:
            self._health.set_model(model.name, is_serving=_is_serving(model))
        self._circuits.tell(model, transition)

    async def close(self) -> None:
        """Close every connection to the models, at the latest after a last chance for their calls to end."""
        if self.present is not None:
            runtimes = (*self._older, self.present)
            self._start(self.present.pool.close(is_used=lambda: _are_at_work(runtimes)))
        if self._closing:
            _, stuck = await asyncio.wait(self._closing, timeout=LAST_CHANCE)
            for task in stuck:
                task.cancel()
            await asyncio.gather(*stuck, return_exceptions=True)

    async def _leave(self, older: Sequence[Runtime], following: Pool, has_older_calls: Callable[[], bool]) -> None:
        """Close what the latest of `older` and `following` do not share, once nothing is under way by any of them."""
        latest = older[-1]
        try:
            await latest.pool.close(but=following, is_used=lambda: has_older_calls() or _are_at_work(older))
        finally:
            self._older = tuple(runtime for runtime in self._older if runtime is not latest)

    def _start(self, closing: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(closing)
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


def _are_at_work(runtimes: Sequence[Runtime]) -> bool:
    """Whether answers are being made by any of them: for callers who came later, say, or for nobody for a while."""
    return any(runtime.under_way.count for runtime in runtimes)


def _is_serving(model: Model) -> bool:
    return model.breaker.state is State.CLOSED and model.breaker.is_enabled
