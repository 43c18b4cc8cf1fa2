"""`penstock cache purge`: lets operators forget stored answers."""

from argparse import Namespace

from penstock.cli import daemon, terminal
from penstock.v1.cache_service_pb2 import PurgeRequest
from penstock.v1.cache_service_pb2_grpc import CacheServiceStub


def purge(chosen: Namespace) -> int:
    """Forget the answers of one tenant, of one agent, or all, and print how many there were."""
    connection = daemon.connection(chosen)
    call = connection.call(PurgeRequest(tenant=chosen.tenant, agent=chosen.agent), None)
    with connection.way.open_sync(is_health_checked=False) as channel, call.errors():
        purged = CacheServiceStub(channel).Purge(call.request, timeout=call.timeout, metadata=call.metadata)
    if chosen.json:
        terminal.write_json(purged)
    else:
        terminal.write(f"{purged.entries} answer{'' if purged.entries == 1 else 's'} forgotten\n")
    return 0
