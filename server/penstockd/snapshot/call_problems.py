"""What is wrong with how calls end: too many fail, or come from strangers."""

from collections.abc import Collection, Iterator, Mapping
from heapq import nlargest
from operator import itemgetter

from penstockd.metrics.recent import Reading
from penstockd.snapshot.endings import Endings, by_tenant, together
from penstockd.snapshot.sentences import calls_of, percent, plural
from penstockd.snapshot.shape import Calls, Problem

TOO_MANY_ERRORS = 0.05
ENOUGH_CALLS = 10
"""Calls of a minute; of fewer, no share is worth telling."""
A_FEW = 3
"""Of few calls, so many have to go wrong, and half of them; of a tenant's, so many to say that they do."""
MOST_TENANTS = 3
"""Of those of whose calls most fail, so many are named."""


def of_calls(calls: Calls, last_minute: Reading, lately: Reading) -> Iterator[Problem]:
    """Whether there is room for more, and how many fail: of the last minute, or of five where there were few."""
    yield from _of_room(calls, last_minute.count("shed"))
    minute, five = by_tenant(last_minute), by_tenant(lately)
    now = together(minute.values())
    is_busy, is_over = now.ended >= ENOUGH_CALLS, now.ended > 0 and now.failed == 0
    tenants = minute if is_busy else five
    everybody = together(tenants.values())
    ended, wrong, reason = everybody.ended, everybody.failed, everybody.reason
    worst = _worst_off(tenants, reason)
    told = {worst}
    how = f", {everybody.how}.{_whom(worst, reason, tenants)}"
    if is_busy and wrong >= TOO_MANY_ERRORS * ended:
        text = f"{percent(wrong / ended)} of the last minute's calls failed{how}"
        yield Problem("critical", "calls", "penstockd", text)
    elif not is_busy and _is_much_of_little(wrong, ended) and not is_over:
        text = f"{wrong} of the {ended} calls of the last five minutes failed{how}"
        yield Problem("warning", "calls", "penstockd", text)
    else:
        told.clear()
    if _is_much_of_little(wrong, ended):
        # Where half of all calls fail alike, that is no tenant's own trouble.
        told.update(tenants)
    yield from _of_tenants(minute, five, told=told, reason=reason)


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


def _of_room(calls: Calls, shed: int) -> Iterator[Problem]:
    refused = f" {plural(shed, 'call')} of the last minute found no room." if shed else ""
    if calls.in_flight >= calls.limit:
        text = f"The daemon is full: {calls.in_flight} of {calls.limit} calls in flight, further ones are refused."
        yield Problem("critical", "calls", "penstockd", text + refused)
    elif shed:
        text = f"The daemon was full: `server.max_in_flight` is {calls.limit}."
        yield Problem("warning", "calls", "penstockd", text + refused)


def _worst_off(tenants: Mapping[str, Endings], reason: str) -> str:
    """The tenant with the most calls that failed for this reason; empty where none has a few."""
    hurt = {tenant: of.reasons[reason] for tenant, of in tenants.items() if tenant}
    return max((tenant for tenant in hurt if hurt[tenant] >= A_FEW), key=hurt.__getitem__, default="")


def _whom(worst: str, reason: str, tenants: Mapping[str, Endings]) -> str:
    if not worst:
        return ""
    of = tenants[worst]
    return f" Worst off: {of.reasons[reason]} of {calls_of(worst, of.ended)}."


def _of_tenants(
    minute: Mapping[str, Endings], five: Mapping[str, Endings], *, told: Collection[str], reason: str
) -> Iterator[Problem]:
    """Those of whose calls half fail, and still do, the most first; but who is told of already, if for this reason."""
    found = []
    for tenant, now in minute.items():
        is_enough = now.ended >= ENOUGH_CALLS or _is_much_of_little(now.failed, now.ended)
        of, when = (now, "minute") if is_enough else (five.get(tenant, now), "five minutes")
        is_told = not tenant or (tenant in told and of.reason == reason)
        if now.failed and _is_much_of_little(of.failed, of.ended) and not is_told:
            text = f"{of.failed} of {calls_of(tenant, of.ended)} failed in the last {when}, {of.how}."
            found.append((of.failed, Problem("warning", "calls", tenant, text)))
    for _, problem in nlargest(MOST_TENANTS, found, key=itemgetter(0)):
        yield problem


def _is_much_of_little(wrong: int, ended: int) -> bool:
    return wrong >= A_FEW and 2 * wrong >= ended
