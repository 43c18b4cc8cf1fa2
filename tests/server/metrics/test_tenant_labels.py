"""Metrics tell a few tenants apart, and among them those that matter."""

from msgspec.structs import replace

from fakes.demands import rate
from penstockd.interceptors.accounting.denials import Denials
from penstockd.limits import Verdict
from penstockd.metrics.instruments import MOST_SERIES, Instruments
from penstockd.metrics.tenant_labels import BUSY, BUSY_USES, FIRST, TenantLabels

MOST = FIRST + BUSY


def used(labels: TenantLabels, tenant: str, *, times: int = BUSY_USES) -> set[str]:
    """What a tenant is called that is counted so often."""
    return {labels.of(tenant) for _ in range(times)}


def crowded() -> TenantLabels:
    """Labels of which the first have gone to tenants that do little."""
    labels = TenantLabels()
    for number in range(FIRST):
        labels.of(f"early-{number}")
    return labels


def test_the_first_tenants_have_labels_of_their_own() -> None:
    """Most daemons have fewer than there are labels."""
    labels = crowded()

    assert [labels.of("early-0"), labels.of(f"early-{FIRST - 1}")] == ["early-0", f"early-{FIRST - 1}"]
    assert labels.of("late") == "other"


def test_a_tenant_that_floods_is_told_apart_soon() -> None:
    """It is the one that somebody looks for at night."""
    labels = crowded()
    used(labels, "flood")
    used(labels, "quiet", times=BUSY_USES - 1)

    labels.promote()

    assert (labels.of("flood"), labels.of("quiet")) == ("flood", "other")


def test_what_a_tenant_did_in_one_stretch_is_no_merit_in_the_next() -> None:
    """Else everybody would be busy in the end."""
    labels = crowded()

    for _ in range(3):
        used(labels, "steady", times=BUSY_USES // 2)
        labels.promote()

    assert labels.of("steady") == "other"


def test_the_busiest_come_first_where_labels_run_out() -> None:
    """And nobody loses one to them."""
    labels = crowded()
    for number in range(2 * BUSY):
        used(labels, f"busy-{number}", times=BUSY_USES + number)

    labels.promote()

    told = {labels.of(f"busy-{number}") for number in range(2 * BUSY)} - {"other"}
    assert told == {f"busy-{number}" for number in range(BUSY, 2 * BUSY)}
    assert labels.of("early-0") == "early-0"


def test_ten_thousand_tenants_and_a_hundred_thousand_users_are_a_few_series() -> None:
    """And none of them ever falls, whoever comes and goes."""
    instruments, labels = Instruments(), TenantLabels()
    denials = Denials(instruments, labels)
    seen: dict[tuple[str, ...], int] = {}

    for number in range(100_000):
        tenant = f"tenant-{number % 10_000}"
        denials.judge(Verdict(), [replace(rate(), tenant=tenant, subject=f"user:{tenant}/user-{number}")])
        if number % 10_000 == 0:
            used(labels, f"tenant-{number % 7919}")
            labels.promote()
            for counter in instruments.counters:
                for values, count in counter.series:
                    key = (counter.name, *values.values())
                    assert count.value >= seen.get(key, 0)
                    seen[key] = count.value

    [admissions] = [counter for counter in instruments.counters if counter.series]
    assert len(admissions.series) <= MOST + 1 < MOST_SERIES
    assert sum(count.value for _, count in admissions.series) == 100_000
    assert not any("user-" in value for values, _ in admissions.series for value in values.values())


def test_the_names_of_tenants_beyond_are_forgotten() -> None:
    """At the end of each stretch."""
    labels = crowded()
    for number in range(1000):
        labels.of(f"late-{number}")

    labels.promote()

    assert not labels._uses  # noqa: SLF001 - memory is what this is about
    assert len(labels._labels) == FIRST  # noqa: SLF001 - as above
