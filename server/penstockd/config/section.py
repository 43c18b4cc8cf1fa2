"""What every section of the configuration has in common."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Frozen settings that know no others than their own; error messages never show a value."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)
