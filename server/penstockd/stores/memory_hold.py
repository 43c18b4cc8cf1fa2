"""A hold of one process."""

from collections.abc import Sequence

from msgspec import Struct

from penstockd.limits import Amounts, Demand, Verdict

_GRANTED = Verdict()


class Hold(Struct):
    """What is `asked` of `demands`, `since` which monotonic second.

    Once it is granted, `debited` are those that it took, and `took` has what the account of each key said then: a
    rate's, since when its bucket is short, which it is to know at the end.
    """

    id: str
    since: float
    asked: Amounts
    demands: Sequence[Demand]
    debited: Sequence[Demand] = ()
    took: dict[str, float] = {}
    verdict: Verdict = _GRANTED
