"""How calls are repeated, and when a model is left alone."""

from pydantic import Field, ValidationInfo, field_validator

from penstockd.config.context import Context
from penstockd.config.errors import Mistake
from penstockd.config.quantities import Count, Share, SomeShare, Time
from penstockd.config.section import Section


class RetrySettings(Section):
    """How often and how soon a call is repeated; `budget` is the share of recent calls that may be repeats."""

    max_attempts: Count = 4
    base_delay: Time = 0.2
    max_delay: Time = Field(default="10s", validate_default=True)
    budget: Share = 0.1

    @field_validator("max_delay", mode="after")
    @classmethod
    def _is_not_shorter(cls, seconds: float, info: ValidationInfo[Context]) -> float:
        return _at_least("base_delay", seconds, info)


class BreakerSettings(Section):
    """When a model's circuit opens, and for how long."""

    window: Time = 30.0
    min_calls: Count = 10
    failure_rate: SomeShare = 0.5
    consecutive_failures: Count = 5
    open_for: Time = 5.0
    max_open_for: Time = Field(default="120s", validate_default=True)

    @field_validator("max_open_for", mode="after")
    @classmethod
    def _is_not_shorter(cls, seconds: float, info: ValidationInfo[Context]) -> float:
        return _at_least("open_for", seconds, info)


def _at_least(other: str, seconds: float, info: ValidationInfo[Context]) -> float:
    if seconds < info.data.get(other, 0.0):
        raise Mistake(f"must not be shorter than {other}")
    return seconds
