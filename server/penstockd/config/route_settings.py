"""Routes: which models of the pool may answer, and in what order they are asked."""

from typing import Annotated, Literal

from annotated_types import Gt
from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, ValidationInfo

from penstockd.config.context import Context
from penstockd.config.errors import Mistake
from penstockd.config.names import ExistingModel, distinct
from penstockd.config.quantities import Number
from penstockd.config.section import Section

Strategy = Literal["priority", "weighted", "least_latency"]


def _form(models: object) -> str:
    return "[map]" if isinstance(models, dict) else "[list]"


def _fits_strategy(models: object, info: ValidationInfo[Context]) -> object:
    if models in ([], {}):
        raise Mistake("must name at least one model")
    strategy = info.data.get("strategy")
    if strategy == "weighted" and not isinstance(models, dict):
        raise Mistake("must be a map of weights, such as {fast: 3, strong: 1}, because the strategy is weighted")
    if strategy in ("priority", "least_latency") and isinstance(models, dict):
        raise Mistake("must be a list, such as [fast, strong]: only the strategy weighted takes weights")
    return models


_Names = Annotated[tuple[ExistingModel, ...], AfterValidator(distinct)]
_Weights = dict[ExistingModel, Annotated[Number, Gt(0)]]
_Models = Annotated[Annotated[_Names, Tag("[list]")] | Annotated[_Weights, Tag("[map]")], Discriminator(_form)]


class RouteSettings(Section):
    """The models of a route, and how one of them is chosen."""

    strategy: Strategy = "priority"
    models: Annotated[_Models, BeforeValidator(_fits_strategy)] = Field()

    @property
    def names(self) -> tuple[str, ...]:
        """The models, in the order in which the file names them."""
        return tuple(self.models)

    @property
    def weights(self) -> dict[str, float]:
        """Each model's share of the calls in proportion to the others', 1.0 unless the file says."""
        return self.models if isinstance(self.models, dict) else dict.fromkeys(self.models, 1.0)
