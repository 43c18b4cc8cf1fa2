"""Where a daemon is, from how people write it to how gRPC reads it."""

import re
from ipaddress import ip_address
from urllib.parse import unquote

DEFAULT_PORT = 50051
HOST = re.compile(r"\[[^\]]+\]|[^:\[\],/\s]+")

# After two slashes gRPC wants a server's name, which these have none of.
_NO_PLACES = re.compile(r"(?:unix:(?!//(?!/))|unix-abstract:|vsock:|xds:).+")
# The server between the slashes of dns://SERVER/HOST is asked for HOST; gRPC takes its number alone, and its port.
_SCHEME = re.compile(r"dns:(?://(?:(?:[0-9.]+|\[[^\]]+\]):[0-9]+)?/|/)?|ipv[46]:(?:///|/)?")
_PLACE = re.compile(rf"({HOST.pattern})(?::(?:([0-9]+)|([A-Za-z][\w-]*)))?")
_URL = re.compile(r"(?!unix:)[^:]+://.*")
_VERSIONS = {"ipv4": 4, "ipv6": 6}
_PORTS = range(1, 65536)
_WHAT_IT_IS = "it is HOST, HOST:PORT, [IPV6]:PORT or unix:PATH, and a PORT is 1 to 65535"


def address(target: str) -> str:
    """Return `target` as gRPC writes it.

    A target is HOST, HOST:PORT, [IPv6]:PORT, unix:PATH, several IPv4:PORT with commas between, or any name of gRPC's
    own. A port is 1 to 65535, else 50051. Raises ValueError for a URL, and for what is none of these.
    """
    if _NO_PLACES.fullmatch(target):
        return target
    scheme = _SCHEME.match(target)
    if not scheme and _URL.fullmatch(target):
        raise ValueError(f"{target!r} is a URL; a target is HOST:PORT or unix:PATH, and TLS is asked for beside it")
    beginning = scheme[0] if scheme else "ipv4:" if "," in target else ""
    # A name of gRPC's may have a query, which is not ours to read.
    places, question, query = target[scheme.end() :].partition("?") if scheme else (target, "", "")
    kind = beginning.partition(":")[0]
    try:
        written = ",".join(_with_port(each, kind) for each in _listed(places, kind))
    except ValueError as error:
        raise ValueError(f"{target!r} is no target: {_WHAT_IT_IS}") from error
    return f"{beginning}{written}{question}{query}"


def _listed(places: str, kind: str) -> list[str]:
    """Return each of several addresses, of which gRPC leaves out the empty ones; a name is only one."""
    if kind not in _VERSIONS:
        return [places]
    return [each for each in places.split(",") if each] or [places]


def _with_port(place: str, kind: str) -> str:
    """Return one HOST or HOST:PORT with its port; raise ValueError for what is neither."""
    # gRPC reads the percent signs of its own names, as a bracket may be written.
    found = _PLACE.fullmatch(unquote(place) if kind else place)
    if found is None:
        raise ValueError(place)
    host, port, service = found.groups()
    version = _VERSIONS.get(kind)
    if version and ip_address(host.strip("[]")).version != version:
        raise ValueError(place)
    # Of port 65537 gRPC would make 1.
    if (port and int(port) not in _PORTS) or (service and kind != "dns"):
        raise ValueError(place)
    return place if port or service else f"{place}:{DEFAULT_PORT}"
