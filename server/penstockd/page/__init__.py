"""The page at `/`: one document with its style and its script inside, which no other site can change or frame."""

from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from importlib.resources import files

from msgspec import Struct

_STYLE, _SCRIPT = "/*page.css*/", "/*page.js*/"


class Page(Struct, frozen=True, kw_only=True):
    """The document, and the headers that keep it what it is."""

    body: bytes
    headers: Mapping[str, str]


def read_page() -> Page:
    """Put the document together; the policy lets nothing run but what was shipped with it."""
    document, style, script = (
        files(__name__).joinpath(name).read_text(encoding="utf-8") for name in ("index.html", "page.css", "page.js")
    )
    policy = (
        "default-src 'none'",
        f"style-src {_hash(style)}",
        f"script-src {_hash(script)}",
        "connect-src 'self'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
    body = document.replace(_STYLE, style).replace(_SCRIPT, script)
    return Page(body=body.encode(), headers={"content-security-policy": "; ".join(policy)})


def _hash(text: str) -> str:
    """The source expression that allows exactly `text`, see https://www.w3.org/TR/CSP3/#grammardef-hash-source."""
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"
