"""The patience that a rate-limited upstream asks for."""

import math

FIRST_GUESS = 1.0
LONGEST_GUESS = 60.0


class Cooldown:
    """Lasts as long as the upstream asks; if it does not say, 1 s, doubling to 60 s until a call succeeds."""

    def __init__(self) -> None:
        """Begin with none; `until` is when it ends."""
        self.until = -math.inf
        self._guess = 0.0

    def left(self, now: float) -> float:
        """Seconds until it ends; 0.0 or less when it has."""
        return self.until - now

    def extend(self, now: float, seconds: float | None) -> None:
        """Last `seconds` from now (None: as long as guessed), unless it lasts longer already."""
        if seconds is None:
            seconds = self._next_guess(now)
        self.until = max(self.until, now + seconds)

    def ease(self) -> None:
        """Guess from the start again: a call succeeded."""
        self._guess = 0.0

    def _next_guess(self, now: float) -> float:
        # Calls that were on their way together are refused together: that is one refusal, not a reason to double.
        if not self._guess or self.left(now) <= 0.0:
            self._guess = min(max(FIRST_GUESS, 2.0 * self._guess), LONGEST_GUESS)
        return self._guess
