"""CacheService: lets operators forget stored answers."""

from penstock.v1 import cache_service_pb2 as pb
from penstockd.answers import Answers
from penstockd.call import Call
from penstockd.errors import PermissionDenied


class CacheService:
    """Answers Purge, for keys whose role is operator."""

    def __init__(self, answers: Answers) -> None:
        """Forget answers of `answers`."""
        self._answers = answers

    async def purge(self, call: Call[pb.PurgeRequest]) -> None:
        """Forget the answers that are named, and send how many there were."""
        if not call.principal.is_operator:
            raise PermissionDenied("only a key whose role is operator may purge the cache")
        entries = await self._answers.purge(tenant=call.request.tenant, agent=call.request.agent)
        await call.send(pb.PurgeResponse(entries=entries))
