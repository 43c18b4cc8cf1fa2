"""What a failed attempt tells an operator."""

import pytest

from penstockd.upstream import LONGEST_ACCOUNT, PROVIDER_ERROR, Broken, UpstreamFailure


class Unspeakable(Exception):
    """Raises where it is asked what it says."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


def caused(failure: UpstreamFailure, cause: Exception) -> UpstreamFailure:
    """The failure as it is raised from its cause."""
    with pytest.raises(UpstreamFailure) as info:
        raise failure from cause
    return info.value


def test_a_failure_is_told_in_its_own_words() -> None:
    """They say already what a cause of ours had to say."""
    failure = caused(Broken("not connected after 2 s", reason="connect_timeout"), TimeoutError("odd"))

    assert failure.account == "not connected after 2 s"


def test_what_a_foreign_provider_raised_is_told_by_type_and_text() -> None:
    """Whoever wrote it knows what that means."""
    failure = caused(Broken("the provider raised KeyError", reason=PROVIDER_ERROR), KeyError("choices"))

    assert failure.account == "KeyError: 'choices'"
    assert Broken("it ended before its answer did", reason=PROVIDER_ERROR).account == "it ended before its answer did"


def test_what_cannot_be_told_is_no_trouble() -> None:
    """An exception that raises when it is shown keeps no call from its next model."""
    failure = caused(Broken("the provider raised Unspeakable", reason=PROVIDER_ERROR), Unspeakable())

    assert failure.account.endswith("Unspeakable: <exception str() failed>")


def test_an_account_is_one_short_line() -> None:
    """Cut between words, so that a secret is there as a whole, to be masked, or not at all."""
    secret = "key-of-many-letters" * 10
    failure = Broken(f"odd\r\n\x1b[31m{'word ' * 56}{secret} more")

    account = failure.account

    assert account.startswith("odd [31mword word")
    assert account.endswith("word …")
    assert len(account) <= LONGEST_ACCOUNT
    assert Broken("x" * 10_000).account == "…"
