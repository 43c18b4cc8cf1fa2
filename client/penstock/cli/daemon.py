"""The daemon that a command was pointed at."""

from argparse import Namespace

from penstock.connection import Connection
from penstock.sync_client import SyncAgentClient
from penstock.tls import TLS


class _Onlooker(SyncAgentClient):
    """Also reaches a daemon that says it is not serving: that is when it has to be looked after."""

    _is_health_checked = False


def client(chosen: Namespace) -> SyncAgentClient:
    """Return a client of that daemon, for who asks its agents."""
    return SyncAgentClient(chosen.target, api_key=chosen.api_key, timeout=chosen.timeout, tls=_tls(chosen))


def onlooker(chosen: Namespace) -> SyncAgentClient:
    """Return a client of that daemon, for who looks after it: its health is not asked first."""
    return _Onlooker(chosen.target, api_key=chosen.api_key, timeout=chosen.timeout, tls=_tls(chosen))


def connection(chosen: Namespace) -> Connection:
    """Return what a call beside the client's own needs."""
    return Connection(chosen.target, api_key=chosen.api_key, timeout=chosen.timeout, tls=_tls(chosen))


def _tls(chosen: Namespace) -> bool | TLS:
    """How the connection is secured; raises ValueError for what could not be used."""
    if chosen.tls or chosen.ca is not None:
        return TLS(ca=chosen.ca, cert=chosen.cert, key=chosen.key, server_name=chosen.server_name)
    for name in ("cert", "key", "server_name"):
        if getattr(chosen, name) is not None:
            raise ValueError(f"--{name.replace('_', '-')} needs TLS: add --tls, or --ca FILE")
    return False
