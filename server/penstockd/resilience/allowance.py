"""What a provider grants us: requests and tokens a period."""

from math import inf

from penstockd.resilience.token_bucket import TokenBucket


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

    def take(self, tokens: float) -> bool:
        """Debit a call of `tokens` and return True, or debit nothing and return False."""
        if self.wait(tokens) > 0:
            return False
        if self.requests:
            self.requests.take()
        if self.tokens:
            self.tokens.take(tokens)
        return True

    def give_back_request(self) -> None:
        """Give back the request of a call that was not made."""
        if self.requests:
            self.requests.give_back(1.0)

    def settle(self, *, held: float, used: float) -> None:
        """Give back what a call took and did not use."""
        if self.tokens and used < held:
            self.tokens.give_back(held - used)
