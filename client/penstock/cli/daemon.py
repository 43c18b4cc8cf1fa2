"""The daemon that a command was pointed at."""

from argparse import Namespace

from penstock.connection import Connection
from penstock.sync_client import SyncAgentClient
from penstock.tls import TLS


def client(chosen: Namespace) -> SyncAgentClient:
    """Return a client of that daemon."""
    return SyncAgentClient(chosen.target, api_key=chosen.api_key, timeout=chosen.timeout, tls=_tls(chosen))


def connection(chosen: Namespace) -> Connection:
    """Return what a call beside the client's own needs."""
    return Connection(chosen.target, api_key=chosen.api_key, timeout=chosen.timeout, tls=_tls(chosen))


def _tls(chosen: Namespace) -> bool | TLS:
    """How the connection is secured; raises ValueError for a certificate that could not be shown."""
    if (chosen.cert is None) != (chosen.key is None):
        raise ValueError("--cert and --key go together: give both")
    if chosen.tls or chosen.ca is not None:
        return TLS(ca=chosen.ca, cert=chosen.cert, key=chosen.key, server_name=chosen.server_name)
    if chosen.cert is not None:
        raise ValueError("--cert and --key need TLS: add --tls, or --ca FILE")
    if chosen.server_name is not None:
        raise ValueError("--server-name needs TLS: add --tls, or --ca FILE")
    return False
