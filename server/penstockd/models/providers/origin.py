"""Where HTTP is spoken."""

from typing import Self
from urllib.parse import quote, urlsplit

from msgspec import Struct

_PORTS = {"http": 80, "https": 443}
_IN_PATHS = "/%:@!$&'()*+,;=~"
"""What a path may have as it is (RFC 3986, 3.3), and the sign of what is quoted already."""


class Origin(Struct, frozen=True):
    """A scheme, a host and a port; the host as it is looked up, without brackets."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> Self:
        """The origin of a URL; raises ValueError, which does not quote it, if it has none."""
        parts = urlsplit(url)
        if parts.scheme not in _PORTS or not parts.hostname:
            raise ValueError("the URL must have a host, and begin with http:// or https://")
        host = parts.hostname if ":" in parts.hostname else parts.hostname.encode("idna").decode("ascii")
        return cls(parts.scheme, host, parts.port or _PORTS[parts.scheme])

    @property
    def is_secure(self) -> bool:
        """Whether TLS is spoken there."""
        return self.scheme == "https"

    @property
    def authority(self) -> str:
        """The host and the port, as CONNECT names them."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def name(self) -> str:
        """The authority as the Host header names it: without the port that goes without saying."""
        return self.authority.removesuffix(f":{_PORTS[self.scheme]}")


def path_of(url: str) -> str:
    """The path of a URL, as a request names it."""
    return quote(urlsplit(url).path, safe=_IN_PATHS) or "/"
