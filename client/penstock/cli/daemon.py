"""The daemon that a command was pointed at."""

from argparse import Namespace

from penstock.channel import TLS
from penstock.connection import Connection
from penstock.sync_client import SyncAgentClient


def client(chosen: Namespace) -> SyncAgentClient:
    """Return a client of that daemon."""
    return SyncAgentClient(chosen.target, api_key=chosen.api_key, timeout=chosen.timeout, tls=_tls(chosen))


def connection(chosen: Namespace) -> Connection:
    """Return what a call beside the client's own needs."""
    return Connection(chosen.target, api_key=chosen.api_key, timeout=chosen.timeout, tls=_tls(chosen))


def _tls(chosen: Namespace) -> bool | TLS:
    return TLS(ca=chosen.ca) if chosen.ca else bool(chosen.tls)
