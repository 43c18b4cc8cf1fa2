"""A URL says where to connect and how to name that."""

import pytest

from penstockd.models.providers.origin import Origin, path_of


@pytest.mark.parametrize(
    ("url", "host", "port", "name", "authority"),
    [
        ("http://llm.internal/v1", "llm.internal", 80, "llm.internal", "llm.internal:80"),
        ("https://llm.internal", "llm.internal", 443, "llm.internal", "llm.internal:443"),
        ("https://LLM.internal:8443/", "llm.internal", 8443, "llm.internal:8443", "llm.internal:8443"),
        ("http://llm.internal:443", "llm.internal", 443, "llm.internal:443", "llm.internal:443"),
        ("http://[::1]:8000/v1", "::1", 8000, "[::1]:8000", "[::1]:8000"),
        ("https://[2001:db8::1]/v1", "2001:db8::1", 443, "[2001:db8::1]", "[2001:db8::1]:443"),
        ("http://llm_1:80", "llm_1", 80, "llm_1", "llm_1:80"),
        ("http://bücher.example", "xn--bcher-kva.example", 80, "xn--bcher-kva.example", "xn--bcher-kva.example:80"),
        ("http://u:p@proxy:3128", "proxy", 3128, "proxy:3128", "proxy:3128"),
    ],
)
def test_where_a_url_leads(url: str, host: str, port: int, name: str, authority: str) -> None:
    """Ports that go without saying are not said, and IPv6 addresses have brackets where they are named."""
    origin = Origin.of(url)

    assert (origin.host, origin.port, origin.name, origin.authority) == (host, port, name, authority)
    assert origin.is_secure == url.startswith("https")


@pytest.mark.parametrize(
    "url", ["", "llm", "ftp://llm", "http://", "https:///v1", "http://hunter2..llm", "http://l:0x"]
)
def test_a_url_that_leads_nowhere_is_refused(url: str) -> None:
    """It is not quoted: it may have credentials in it."""
    with pytest.raises(ValueError, match=r".") as refusal:
        Origin.of(url)

    assert "hunter2" not in str(refusal.value)


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("http://llm", "/"),
        ("http://llm/v1/chat", "/v1/chat"),
        ("http://llm/a b/ü", "/a%20b/%C3%BC"),
        ("http://llm/a%2Fb", "/a%2Fb"),
    ],
)
def test_the_path_of_a_request(url: str, path: str) -> None:
    """What a path cannot have is quoted, once."""
    assert path_of(url) == path
