"""The page is one document that needs nothing and lets nothing in."""

import re
from base64 import b64encode
from hashlib import sha256

from penstockd.page import read_page

PAGE = read_page()
TEXT = PAGE.body.decode()


def inside(tag: str) -> str:
    """What stands in the one element of that name."""
    ((found),) = re.findall(rf"<{tag}[^>]*>(.*?)</{tag}>", TEXT, re.DOTALL)
    return str(found)


def test_it_is_light() -> None:
    """Whole, with its style and its script."""
    assert len(PAGE.body) < 100_000


def test_the_policy_lets_run_what_was_shipped_and_nothing_else() -> None:
    """By digest: not a byte may differ."""
    policy = PAGE.headers["content-security-policy"].split("; ")

    for tag, directive in (("style", "style-src"), ("script", "script-src")):
        digest = b64encode(sha256(inside(tag).encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in PAGE.headers["content-security-policy"]


def test_it_asks_nobody_but_the_daemon() -> None:
    """Not one address of another host; the namespace of drawings is none."""
    assert set(re.findall(r"https?://[^\s\"'`)]+", TEXT)) == {"http://www.w3.org/2000/svg"}


def test_what_the_daemon_says_is_never_markup() -> None:
    """Names of models and tenants, and faults, are other people's text."""
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", TEXT)


def test_the_token_travels_in_no_address() -> None:
    """Addresses end up in logs and histories."""
    assert not re.search(r"location\.(search|hash|href)|URLSearchParams|localStorage|document\.cookie", TEXT)
