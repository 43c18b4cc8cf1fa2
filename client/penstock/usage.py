"""Which part of the ledger to sum: plain arguments made into the contract's request."""

from datetime import datetime
from typing import TypedDict

from google.protobuf.timestamp_pb2 import Timestamp

from penstock.message import make
from penstock.v1.usage_service_pb2 import GetUsageRequest


class UsageOptions(TypedDict, total=False):
    """What usage to ask for; whatever is left out is not narrowed down.

    tenant: the caller's own unless named, "*" for all; others than its own only for operators. user_id, agent, model:
    only theirs. since: from this moment on, else from the start of this month (UTC). until: up to this moment, which
    is not included. Both need a time zone.
    """

    tenant: str
    user_id: str
    agent: str
    model: str
    since: datetime | None
    until: datetime | None


def build(options: UsageOptions) -> GetUsageRequest:
    """Make the request. A moment without a time zone is a ValueError."""
    given = dict(options)
    since, until = given.pop("since", None), given.pop("until", None)
    return make(GetUsageRequest, start_time=_timestamp("since", since), end_time=_timestamp("until", until), **given)


def _timestamp(name: str, moment: object) -> Timestamp | None:
    if moment is None:
        return None
    if not isinstance(moment, datetime):
        raise TypeError(f"{name}: must be a datetime")
    if moment.tzinfo is None:
        raise ValueError(f"{moment} needs a time zone, such as datetime.UTC")
    timestamp = Timestamp()
    timestamp.FromDatetime(moment)
    return timestamp
