"""What a setting must know of the others while it is checked."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The names that settings may refer to, where relative paths start, and how strict the environment is.

    `document` is what `file` says, as it is written.
    Checks add to `notes` what is allowed here and worth a word.
    """

    base: Path
    file: Path | None = None
    document: Mapping[str, object] = field(default_factory=dict)
    environment: str = "development"
    models: Mapping[str, object] = field(default_factory=dict)
    routes: Mapping[str, object] = field(default_factory=dict)
    agents: Mapping[str, object] = field(default_factory=dict)
    tenants: Mapping[str, object] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def is_development(self) -> bool:
        """Whether what is convenient on a laptop is the default."""
        return self.environment == "development"

    @property
    def is_guarded(self) -> bool:
        """Whether strangers may be about: staging and production."""
        return self.environment in ("staging", "production")
