"""Everything the async client and its twin have in common before and around a call."""

import asyncio
import math
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

import grpc
import grpc.aio

from penstock import request, usage
from penstock.channel import Way
from penstock.errors import PenstockError
from penstock.request import Ask, Options
from penstock.status import translate
from penstock.tls import TLS
from penstock.usage import UsageOptions
from penstock.v1.usage_service_pb2 import GetUsageRequest

DEFAULT_TARGET = "127.0.0.1:50051"
DEFAULT_TIMEOUT = 30.0
LONGEST_TIMEOUT = 27_000 * 3600.0
"""Seconds: what gRPC puts on the wire at most. Beyond 7e9 it would take the deadline for one that has passed."""

Request = TypeVar("Request")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[Request]):
    """One RPC to make: its message, its deadline in seconds from now, and what goes beside it."""

    request: Request
    timeout: float
    request_id: str
    metadata: tuple[tuple[str, str], ...]

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Turn a failed RPC in this block into the exception that says why."""
        try:
            yield
        except grpc.RpcError as error:
            raise translate(error, request_id=self.request_id) from error
        except asyncio.CancelledError as error:
            # grpc.aio ends a call so that another task cancelled or whose channel it closed; this task goes on.
            if (task := asyncio.current_task()) is None or task.cancelling():
                raise
            raise self._cancelled() from error

    def _cancelled(self) -> PenstockError:
        return PenstockError(
            "the call was cancelled by its stream or by closing its client",
            code=grpc.StatusCode.CANCELLED,
            reason=grpc.StatusCode.CANCELLED.name,
            request_id=self.request_id,
        )


class Connection:
    """Where the daemon is, who we say we are, and how long we wait; None means what the environment says."""

    def __init__(self, target: str | None, *, api_key: str | None, timeout: float, tls: bool | TLS) -> None:
        where = target or os.environ.get("PENSTOCK_TARGET") or DEFAULT_TARGET
        self.way = Way(where, TLS() if tls is True else tls or None)
        self._timeout = _checked(timeout)
        self._credentials = (("authorization", f"Bearer {key}"),) if (key := _key(api_key)) else ()
        self._is_closed = False
        self.loop: asyncio.AbstractEventLoop | None = None

    def ask(self, kind: type[Ask], text: str, timeout: float | None, options: Options) -> Call[Ask]:
        """Prepare a call that asks an agent."""
        _check(options, Options)
        message = request.build(kind, text, options)
        return self.call(message, timeout, message.request_id)

    def ask_usage(self, timeout: float | None, options: UsageOptions) -> Call[GetUsageRequest]:
        """Prepare a call that asks for usage."""
        _check(options, UsageOptions)
        return self.call(usage.build(options), timeout)

    def call(self, message: Request, timeout: float | None, request_id: str = "") -> Call[Request]:
        """Prepare any call; raises RuntimeError once closed, and on another event loop than `loop`, if there is one."""
        # grpc.aio corrupts the process's memory when a stream is begun on a closed channel.
        if self._is_closed:
            raise RuntimeError("the client is closed: make a new one")
        # It would send the call all the same, for nobody, and fail by words that lead nowhere.
        if self.loop is not None and self.loop is not asyncio.get_event_loop():
            raise RuntimeError("the client belongs to the event loop it was first used on: make one for each loop")
        name = request_id or request.new_request_id()
        return Call(
            request=message,
            timeout=self._timeout if timeout is None else _checked(timeout),
            request_id=name,
            # gRPC cannot send another value; the server refuses it by the message's own field.
            metadata=(*self._credentials, ("x-request-id", name)) if _is_printable(name) else self._credentials,
        )

    def close(self) -> None:
        """Prepare no more calls."""
        self._is_closed = True


def _check(options: Iterable[str], allowed: type) -> None:
    names = allowed.__annotations__
    for name in options:
        if name not in names:
            raise TypeError(f"there is no argument {name!r}; beside timeout there are {', '.join(names)}")


def _checked(timeout: float) -> float:
    try:
        is_one = 0 < timeout < math.inf
    except TypeError as error:
        raise TypeError("timeout: must be a number of seconds") from error
    if is_one:
        return min(timeout, LONGEST_TIMEOUT)
    raise ValueError(f"a timeout is a positive number of seconds, not {timeout}")


def _key(given: str | None) -> str:
    key = os.environ.get("PENSTOCK_API_KEY", "") if given is None else given
    if not isinstance(key, str):
        raise TypeError("api_key: must be a str")
    if _is_printable(key := key.strip()):
        return key
    raise ValueError("the API key holds characters that no key has")


def _is_printable(value: str) -> bool:
    return value.isascii() and value.isprintable()
