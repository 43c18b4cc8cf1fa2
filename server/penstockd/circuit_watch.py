"""Tells whoever watches that a model's circuit has changed."""

from penstockd import conventions as names
from penstockd.changes import Changes
from penstockd.logs.log import Log
from penstockd.metrics.instruments import Instruments
from penstockd.model import Model
from penstockd.resilience.breaker import DISABLED
from penstockd.resilience.circuit import State, Transition
from penstockd.upstream import Misconfigured


class CircuitWatch:
    """Logs each change, counts it, and keeps it for those who look at the page."""

    def __init__(self, *, log: Log, instruments: Instruments, changes: Changes) -> None:
        """Count by model, by the state it came to, and by the cause."""
        self._log = log
        self._changes = changes
        self._transitions = instruments.counter(
            names.PENSTOCK_CIRCUIT_TRANSITIONS,
            unit="{transition}",
            description="Changes of a model's circuit, by the state it came to and why.",
            labels=(names.PENSTOCK_MODEL, names.PENSTOCK_STATE, names.PENSTOCK_CAUSE),
        )

    def tell(self, model: Model, transition: Transition) -> None:
        """Tell of one change."""
        state = transition.new if model.breaker.is_enabled else DISABLED
        self._transitions.of(model.name, state, transition.cause).add()
        self._remember(model.name, state, transition)
        write = self._log.error if transition.cause == Misconfigured.reason else self._log.warning
        write("circuit changed", model=model.name, state=state, cause=transition.cause)

    def _remember(self, name: str, state: str, transition: Transition) -> None:
        """Keep the change: not each probe, and the probes that failed as one."""
        if transition.new is State.HALF_OPEN and state != DISABLED:
            return
        has_probed = transition.old is State.HALF_OPEN and transition.new is State.OPEN
        add = self._changes.add_or_count if has_probed else self._changes.add
        add("circuit", name, state, transition.cause)
