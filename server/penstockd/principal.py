"""Who is calling, as their credentials say and never as a request field does."""

from enum import StrEnum

from msgspec import Struct


class KeyRole(StrEnum):
    """What a key may do beyond calling agents."""

    CALLER = "caller"
    OPERATOR = "operator"


class Principal(Struct, frozen=True, kw_only=True):
    """A known caller; `agents` None means every agent."""

    tenant: str
    key: str = ""
    role: KeyRole = KeyRole.CALLER
    agents: frozenset[str] | None = None

    @property
    def is_operator(self) -> bool:
        """Whether this caller may look at other tenants, and steer the daemon."""
        return self.role is KeyRole.OPERATOR

    def may_use(self, agent: str) -> bool:
        """Whether this caller may call `agent`."""
        return self.agents is None or agent in self.agents
