"""What is wrong with how calls end: too many fail, or come from strangers."""

from collections.abc import Iterator

from penstockd.metrics.instruments import OTHER
from penstockd.metrics.recent import Reading
from penstockd.snapshot.counters import failed
from penstockd.snapshot.sentences import percent
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
        yield Problem("critical", "calls", "penstockd", text)
    ended, wrong = last_minute.count("code"), failed(last_minute)
    if ended >= ENOUGH_CALLS:
        if wrong >= TOO_MANY_ERRORS * ended:
            text = f"{percent(wrong / ended)} of the last minute's calls failed{_and_whose(last_minute)}"
            yield Problem("critical", "calls", "penstockd", text)
        return
    is_over = ended > 0 and wrong == 0
    ended, wrong = lately.count("code"), failed(lately)
    if _is_much_of_little(wrong, ended) and not is_over:
        text = f"{wrong} of the {ended} calls of the last five minutes failed{_and_whose(lately)}"
        yield Problem("warning", "calls", "penstockd", text)


def of_strangers(last_minute: Reading, lately: Reading) -> Iterator[Problem]:
    """Whether many show no credentials that are known here."""
    came, strangers = last_minute.count("code"), last_minute.count("code", "UNAUTHENTICATED")
    if strangers >= ENOUGH_CALLS:
        text = f"{strangers} calls of the last minute showed no valid credentials."
        yield Problem("warning", "calls", "callers", text)
        return
    is_over = came >= ENOUGH_CALLS or (came > 0 and strangers == 0)
    came, strangers = lately.count("code"), lately.count("code", "UNAUTHENTICATED")
    if _is_much_of_little(strangers, came) and not is_over:
        text = f"{strangers} of the {came} calls of the last five minutes showed no valid credentials."
        yield Problem("warning", "calls", "callers", text)


def _is_much_of_little(wrong: int, ended: int) -> bool:
    return wrong >= A_FEW and 2 * wrong >= ended


def _and_whose(reading: Reading) -> str:
    """How most of them failed, and to whom: a sentence's end, and one of its own if it is known whose they were."""
    worst = max(FAULTS, key=lambda code: reading.count("code", code))
    ended = reading.by("ended")
    wrong = dict.fromkeys(ended, 0)
    for (tenant, code, _), count in reading.of("ended").items():
        wrong[tenant] += count if code in FAULTS else 0
    hurt = [tenant for tenant, count in wrong.items() if count >= A_FEW and tenant not in {"", OTHER}]
    if not hurt:
        return f", most with {worst}."
    tenant = max(hurt, key=lambda tenant: (wrong[tenant] / ended[tenant], wrong[tenant]))
    return f", most with {worst}. Worst off is {tenant}: {wrong[tenant]} of its {ended[tenant]} calls."
