"""What a provider grants us: requests and tokens a period."""

from math import inf

from msgspec import Struct

from penstockd.resilience.token_bucket import TokenBucket


class Grant(Struct, frozen=True):
    """What a call has taken, and since when the buckets were short then."""

    tokens: float = 0.0
    requests_short_since: float = inf
    tokens_short_since: float = inf


UNLIMITED = Grant()
"""Where nothing bounds calls: there is nothing to give back."""


class Allowance:
    """Two buckets that are debited together or not at all; None = no limit of that kind."""

    def __init__(self, *, requests: TokenBucket | None = None, tokens: TokenBucket | None = None) -> None:
        """Bound calls by either bucket, both or none."""
        self.requests = requests
        self.tokens = tokens

    @property
    def most_tokens(self) -> float:
        """How many tokens a call may take at most; one of more never fits."""
        return self.tokens.burst if self.tokens else inf

    def wait(self, tokens: float) -> float:
        """Seconds until a call of `tokens` would fit, 0.0 = now, inf = never."""
        requests_wait = self.requests.wait() if self.requests else 0.0
        return max(requests_wait, self.tokens.wait(tokens)) if self.tokens else requests_wait

    def take(self, tokens: float) -> Grant | None:
        """Debit a call of `tokens`, or debit nothing and return None."""
        if self.requests is None and self.tokens is None:
            return UNLIMITED
        if self.wait(tokens) > 0:
            return None
        return Grant(tokens, _debit(self.requests, 1.0), _debit(self.tokens, tokens))

    def give_back_request(self, grant: Grant) -> None:
        """Give back the request of a call that was not made."""
        if self.requests:
            self.requests.give_back(1.0, grant.requests_short_since)

    def settle(self, grant: Grant, *, used: float) -> None:
        """Give back what a call took and did not use, in tokens."""
        if self.tokens and used < grant.tokens:
            self.tokens.give_back(grant.tokens - used, grant.tokens_short_since)


def _debit(bucket: TokenBucket | None, amount: float) -> float:
    """Take what fits; return since when the bucket is short."""
    if bucket is None:
        return inf
    bucket.take(amount)
    return bucket.level.short_since
