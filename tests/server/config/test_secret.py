"""Secrets do not show."""

import pytest

from penstockd.config.secret import Secret, SecretUrl


def test_a_secret_prints_as_a_mask() -> None:
    """Neither a log line nor a traceback gives it away."""
    secret = Secret("hunter2")

    assert f"{secret} {secret!r} {[secret]}" == "*** Secret(***) [Secret(***)]"
    assert secret.reveal() == "hunter2"
    assert secret == Secret("hunter2")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://user:hunter2@proxy:3128", "http://***@proxy:3128"),
        ("http://proxy:3128", "http://proxy:3128"),
        ("postgresql://host/db?password=hunter2", "postgresql://host/db?***"),
    ],
)
def test_a_url_shows_all_but_its_credentials(url: str, shown: str) -> None:
    """People see which host is meant."""
    assert str(SecretUrl(url)) == shown
    assert SecretUrl(url).reveal() == url
