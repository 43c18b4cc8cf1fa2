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
    """Whole and streamed ones alike; those of nobody known, and those that only look, are left out."""
    tally = Tally(TenantLabels())

    tally.ended(call_of("acme"), "OK")
    tally.ended(call_of("acme", STREAM), "OK")
    tally.ended(call_of("acme"), "RESOURCE_EXHAUSTED")
    tally.ended(call_of(""), "UNAUTHENTICATED")
    tally.ended(call_of("acme", Method("/penstock.v1.PoolService/ListModels")), "OK")

    assert tally.ended_by == {("acme", "OK"): 2, ("acme", "RESOURCE_EXHAUSTED"): 1}


def test_ten_thousand_tenants_are_a_few() -> None:
    """All that are too many are one."""
    tally = Tally(TenantLabels())

    for number in range(10_000):
        tally.ended(call_of(f"tenant-{number}"), "OK")

    assert len(tally.ended_by) == FIRST + 1
    assert tally.ended_by["other", "OK"] == 10_000 - FIRST
