"""PoolService: shows the models as they are, and lets operators steer them."""

from penstock.v1 import pool_service_pb2 as pb
from penstockd import messages
from penstockd.call import Call
from penstockd.errors import ModelNotFound, PermissionDenied, Violation, invalid
from penstockd.model import Changed, Model
from penstockd.models.pool import Pool
from penstockd.resilience.circuit import State


class PoolService:
    """Answers ListModels for everybody, and SetModel for keys whose role is operator."""

    def __init__(self, pool: Pool, changed: Changed) -> None:
        """Show and steer the models of `pool`; `changed` is told what an operator does to one."""
        self._pool = pool
        self._changed = changed

    async def list_models(self, call: Call[pb.ListModelsRequest]) -> None:
        """Send all models, by name."""
        listed = [_model(model) for _, model in sorted(self._pool.models.items())]
        await call.send(pb.ListModelsResponse(models=listed))

    async def set_model(self, call: Call[pb.SetModelRequest]) -> None:
        """Do to a model what was asked for, and send it as it then is."""
        request = call.request
        if not call.principal.is_operator:
            raise PermissionDenied("only a key whose role is operator may change the pool")
        if not request.name:
            raise invalid(Violation("name", "must not be empty"))
        model = self._pool.models.get(request.name)
        if model is None:
            raise ModelNotFound(f"there is no model called {request.name[:63]!r}; ListModels names those there are")
        match request.action:
            case pb.MODEL_ACTION_ENABLE:
                transition = model.breaker.enable()
            case pb.MODEL_ACTION_DISABLE:
                transition = model.breaker.disable()
            case pb.MODEL_ACTION_FORCE_OPEN:
                transition = model.breaker.force_open("forced open by an operator")
            case _:
                raise invalid(Violation("action", "must be MODEL_ACTION_ENABLE, _DISABLE or _FORCE_OPEN"))
        self._changed(model, transition)
        await call.send(pb.SetModelResponse(model=_model(model)))


_STATES = {
    State.CLOSED: pb.BREAKER_STATE_CLOSED,
    State.OPEN: pb.BREAKER_STATE_OPEN,
    State.HALF_OPEN: pb.BREAKER_STATE_HALF_OPEN,
}


def _model(model: Model) -> pb.Model:
    first_content, next_probe = model.time_to_first_content, model.breaker.next_probe_in
    return pb.Model(
        name=model.name,
        provider=model.provider,
        upstream_model=model.upstream_name,
        enabled=model.breaker.is_enabled,
        breaker_state=_STATES[model.breaker.state],
        in_flight=model.permits.in_flight,
        max_in_flight=model.permits.limit,
        error_rate=model.breaker.record.error_rate,
        time_to_first_token=None if first_content is None else messages.duration(first_content),
        next_probe_in=None if next_probe is None else messages.duration(next_probe),
        limits=_limits(model),
        cause=model.breaker.cause,
    )


def _limits(model: Model) -> list[pb.ModelLimit]:
    buckets = {"requests": model.allowance.requests, "tokens": model.allowance.tokens}
    return [
        pb.ModelLimit(unit=unit, rate=model.grants[unit], remaining=int(bucket.remaining))
        for unit, bucket in buckets.items()
        if bucket is not None
    ]
