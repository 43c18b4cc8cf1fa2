"""What is wrong with how calls end: too many fail, or come from strangers."""

from collections.abc import Iterator

from penstockd.metrics.instruments import OTHER
from penstockd.metrics.recent import Reading
from penstockd.snapshot.sentences import percent, problem
from penstockd.snapshot.shape import FAULTS, Calls, Problem

TOO_MANY_ERRORS = 0.05
ENOUGH_CALLS = 10
"""Calls of a minute; of fewer, no share is worth telling."""
A_FEW = 3
"""Of few calls, so many have to go wrong, and half of them; of a tenant's, so many to say that they do."""


def of_calls(calls: Calls, last_minute: Reading, lately: Reading) -> Iterator[Problem]:
    """Whether there is room for more, and how many fail: of the last minute, or of five where there were few."""
    if calls.in_flight >= calls.limit:
        text = f"The daemon is full: {calls.in_flight} of {calls.limit} calls in flight, further ones are refused."
        yield problem("critical", "calls", "penstockd", text)
    ended, failed = last_minute.count("code"), _failed(last_minute)
    if ended >= ENOUGH_CALLS:
        if failed >= TOO_MANY_ERRORS * ended:
            text = f"{percent(failed / ended)} of the last minute's calls failed{_and_whose(last_minute)}"
            yield problem("critical", "calls", "penstockd", text)
        return
    is_over = ended > 0 and failed == 0
    ended, failed = lately.count("code"), _failed(lately)
    if _is_much_of_little(failed, ended) and not is_over:
        text = f"{failed} of the {ended} calls of the last five minutes failed{_and_whose(lately)}"
        yield problem("warning", "calls", "penstockd", text)


def of_strangers(last_minute: Reading, lately: Reading) -> Iterator[Problem]:
    """Whether many show no credentials that are known here."""
    came, strangers = last_minute.count("code"), last_minute.count("code", "UNAUTHENTICATED")
    if strangers >= ENOUGH_CALLS:
        text = f"{strangers} calls of the last minute showed no valid credentials."
        yield problem("warning", "calls", "callers", text)
        return
    is_over = came >= ENOUGH_CALLS or (came > 0 and strangers == 0)
    came, strangers = lately.count("code"), lately.count("code", "UNAUTHENTICATED")
    if _is_much_of_little(strangers, came) and not is_over:
        text = f"{strangers} of the {came} calls of the last five minutes showed no valid credentials."
        yield problem("warning", "calls", "callers", text)


def _failed(reading: Reading) -> int:
    return sum(reading.count("code", code) for code in FAULTS)


def _is_much_of_little(wrong: int, ended: int) -> bool:
    return wrong >= A_FEW and 2 * wrong >= ended


def _and_whose(reading: Reading) -> str:
    """How most of them failed, and to whom: a sentence's end, and one of its own if it is known whose they were."""
    worst = max(FAULTS, key=lambda code: reading.count("code", code))
    ended = reading.by("tenant")
    failed = dict.fromkeys(ended, 0)
    for (tenant, code), count in reading.of("tenant").items():
        failed[tenant] += count if code in FAULTS else 0
    hurt = [tenant for tenant, count in failed.items() if count >= A_FEW and tenant != OTHER]
    if not hurt:
        return f", most with {worst}."
    tenant = max(hurt, key=lambda tenant: (failed[tenant] / ended[tenant], failed[tenant]))
    return f", most with {worst}. Worst off is {tenant}: {failed[tenant]} of its {ended[tenant]} calls."
