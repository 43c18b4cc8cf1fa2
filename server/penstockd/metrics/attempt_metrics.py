"""What every attempt at a model is measured by: how long it took, what it used, and what that cost whom."""

from penstockd import conventions as names
from penstockd.call import Call
from penstockd.metrics.instruments import OTHER, Instruments
from penstockd.metrics.tenant_labels import TenantLabels
from penstockd.model import Model
from penstockd.outcome import Attempt

_MODEL = (
    names.GEN_AI_OPERATION_NAME,
    names.GEN_AI_PROVIDER_NAME,
    names.GEN_AI_REQUEST_MODEL,
    names.PENSTOCK_MODEL,
)


class AttemptMetrics:
    """Measures each attempt once, when it has ended, and what a call waits for between them."""

    def __init__(self, instruments: Instruments, tenants: TenantLabels) -> None:
        """Measure by the gen_ai conventions, and what they have no name for by ours."""
        self._tenants = tenants
        self._duration = instruments.histogram(
            names.GEN_AI_CLIENT_OPERATION_DURATION,
            unit="s",
            description="Time from asking a model to the end of its answer.",
            labels=(*_MODEL, names.ERROR_TYPE),
            bounds=names.GEN_AI_SECONDS,
        )
        self._first_chunk = instruments.histogram(
            names.GEN_AI_CLIENT_OPERATION_TIME_TO_FIRST_CHUNK,
            unit="s",
            description="Time from asking a model for a stream to the first of its answer.",
            labels=_MODEL,
            bounds=names.GEN_AI_SECONDS,
        )
        self._tokens = instruments.histogram(
            names.GEN_AI_CLIENT_TOKEN_USAGE,
            unit="{token}",
            description="Tokens of an attempt as they are charged.",
            labels=(*_MODEL, names.GEN_AI_TOKEN_TYPE),
            bounds=names.TOKENS,
        )
        self._spend = instruments.counter(
            names.PENSTOCK_SPEND,
            unit="usd",
            description="What attempts cost; wasted where no whole answer came of it.",
            labels=(names.PENSTOCK_MODEL, names.PENSTOCK_TENANT, names.PENSTOCK_WASTED),
            scale=1e-9,
            beyond=_without_model,
        )
        self._retries = instruments.counter(
            names.PENSTOCK_RETRIES,
            unit="{attempt}",
            description="Attempts after the first, by why the one before ended.",
            labels=(names.PENSTOCK_MODEL, names.PENSTOCK_REASON),
        )
        self._waits = instruments.histogram(
            names.PENSTOCK_WAIT_DURATION,
            unit="s",
            description="Time that calls waited for a model to ask, by what they waited for.",
            labels=(names.PENSTOCK_WAIT,),
            bounds=names.CALL_SECONDS,
        )

    def waited(self, what_for: str, seconds: float) -> None:
        """Measure a wait."""
        self._waits.of(what_for).observe(seconds)

    def ended(self, call: Call[object], model: Model, attempt: Attempt) -> None:
        """Measure an attempt, unless it was refused before the model was asked."""
        if attempt.asked_at is None or attempt.answered_at is None:
            return
        chat, provider, upstream, name = names.CHAT, model.provider, model.upstream_name, model.name
        self._duration.at[chat, provider, upstream, name, attempt.reason].observe(
            attempt.answered_at - attempt.asked_at
        )
        if attempt.first_chunk_at is not None:
            self._first_chunk.at[chat, provider, upstream, name].observe(attempt.first_chunk_at - attempt.asked_at)
        input_tokens, output_tokens = attempt.usage.input, attempt.usage.output
        if input_tokens or output_tokens:
            self._tokens.at[chat, provider, upstream, name, "input"].observe(input_tokens)
            self._tokens.at[chat, provider, upstream, name, "output"].observe(output_tokens)
        if attempt.cost_nanousd:
            wasted = "false" if attempt.is_complete else "true"
            self._spend.at[name, self._tenants.of(call.tenant), wasted].add(attempt.cost_nanousd)
        if attempt.reason_before:
            self._retries.of(name, attempt.reason_before).add()


def _without_model(values: tuple[str, ...]) -> tuple[str, ...]:
    """Who paid, and whether for nothing; of these there are few, as of tenants that are told apart."""
    _, *others = values
    return (OTHER, *others)
