"""The calls of each tenant are counted by how they ended."""

from fakes.calls import PROCESS, STREAM, a_call
from penstockd.call import Call, Method
from penstockd.metrics.tally import Tally
from penstockd.metrics.tenant_labels import FIRST, TenantLabels
from penstockd.outcome import Outcome
from penstockd.principal import Principal


def call_of(tenant: str, method: Method = PROCESS) -> Call[str]:
    """A call of that tenant, or of nobody known."""
    principal = Principal(tenant=tenant) if tenant else None
    return a_call("hello", method=method, outcome=Outcome(principal=principal))


def test_calls_count_by_tenant_and_status() -> None:
    """And why; whole and streamed alike, those of nobody known under no name. Those that only look are left out."""
    tally = Tally(TenantLabels())

    tally.ended(call_of("acme"), "OK", "")
    tally.ended(call_of("acme", STREAM), "OK", "")
    tally.ended(call_of("acme"), "RESOURCE_EXHAUSTED", "RATE_LIMITED")
    tally.ended(call_of(""), "UNAVAILABLE", "DRAINING")
    tally.ended(call_of("acme", Method("/penstock.v1.PoolService/ListModels")), "OK", "")

    assert tally.ended_by == {
        ("acme", "OK", ""): 2,
        ("acme", "RESOURCE_EXHAUSTED", "RATE_LIMITED"): 1,
        ("", "UNAVAILABLE", "DRAINING"): 1,
    }


def test_reasons_that_agents_think_of_are_a_few() -> None:
    """They are told as the status; ours as they are, though several of them are one status."""
    tally = Tally(TenantLabels())

    for reason in ("CANCELLED", *(f"NO_TOOL_{number}" for number in range(10_000))):
        tally.ended(call_of("acme"), "INTERNAL", reason)
    for reason in ("INTERNAL", "UPSTREAM_MISCONFIGURED"):
        tally.ended(call_of("globex"), "INTERNAL", reason)

    assert tally.ended_by == {
        ("acme", "INTERNAL", "INTERNAL"): 10_001,
        ("globex", "INTERNAL", "INTERNAL"): 1,
        ("globex", "INTERNAL", "UPSTREAM_MISCONFIGURED"): 1,
    }


def test_ten_thousand_tenants_are_a_few() -> None:
    """All that are too many are one."""
    tally = Tally(TenantLabels())

    for number in range(10_000):
        tally.ended(call_of(f"tenant-{number}"), "OK", "")

    assert len(tally.ended_by) == FIRST + 1
    assert tally.ended_by["other", "OK", ""] == 10_000 - FIRST
