"""The models of the pool as the snapshot shows them."""

from collections.abc import Iterable

from penstockd.metrics.recent import Reading
from penstockd.model import Model
from penstockd.snapshot.shape import ModelRow

MOST = 100


def model_rows(models: Iterable[Model], now: Reading, lately: Reading) -> list[ModelRow]:
    """A row for each model, by name; `now` is everything since the start, `lately` the last five minutes."""
    attempts, attempts_lately, cost = now.by("attempts"), lately.by("attempts"), now.by("cost", 1)
    return [
        ModelRow(
            name=model.name,
            provider=model.provider,
            upstream=model.upstream_name,
            state=model.breaker.label,
            cause=model.breaker.cause,
            in_flight=model.permits.in_flight,
            max_in_flight=model.permits.limit,
            error_rate=model.breaker.record.error_rate,
            blameless=model.breaker.record.blameless_rate,
            ttft=model.time_to_first_content,
            next_probe_in=model.breaker.next_probe_in,
            cooldown=model.breaker.cooldown or None,
            calls=attempts.get(model.name, 0),
            calls_last_5m=attempts_lately.get(model.name, 0),
            cost_nanousd=cost.get(model.name, 0),
        )
        for model in sorted(models, key=lambda model: model.name)[:MOST]
    ]
