"""What orchestrators and load balancers are told: answered from state, never by asking a provider."""

from collections.abc import Iterable, Mapping

from penstockd.health_servicer import HealthServicer

LIVENESS = "liveness"


class Health:
    """Keeps the health names: ready ones flip together, `liveness` never does, each model's has its own.

    Ready means: nothing stands against it. What does is kept as reasons, such as "starting" and "draining".
    """

    def __init__(self, services: Iterable[str]) -> None:
        """Start as alive and not ready."""
        self.servicer = HealthServicer()
        self._ready_names = ("", *services)
        self._models: dict[str, bool] = {}
        self._reasons = {"starting"}

    @property
    def reasons(self) -> list[str]:
        """What stands against being ready; empty when ready."""
        return sorted(self._reasons)

    def start(self) -> None:
        """Show every name for the first time."""
        self.servicer.set(LIVENESS, is_serving=True)
        self._show_ready()

    def add_reason(self, reason: str) -> None:
        """Be not ready, because of `reason`."""
        self._reasons.add(reason)
        self._show_ready()

    def remove_reason(self, reason: str) -> None:
        """Be ready again, if `reason` was the last that stood against it."""
        self._reasons.discard(reason)
        self._show_ready()

    def set_models(self, models: Mapping[str, bool]) -> None:
        """Know exactly these models from now on, and whether their circuits let calls through."""
        for name in self._models.keys() - models.keys():
            self.servicer.forget(f"model/{name}")
        self._models = dict(models)
        self._show_models()

    def set_model(self, name: str, *, is_serving: bool) -> None:
        """Show whether a model's circuit lets calls through."""
        if name in self._models:
            self._models[name] = is_serving
            self._show_models()

    def _show_ready(self) -> None:
        for name in self._ready_names:
            self.servicer.set(name, is_serving=not self._reasons)
        self._show_models()

    def _show_models(self) -> None:
        for name, is_serving in self._models.items():
            self.servicer.set(f"model/{name}", is_serving=is_serving and "draining" not in self._reasons)
