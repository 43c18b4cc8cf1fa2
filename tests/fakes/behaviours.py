"""Ways in which a fake daemon answers, other than well."""

from collections.abc import Iterator

import grpc

from fakes.daemon import Ask, FakeDaemon, Refusal


def refuses(request: Ask, context: grpc.ServicerContext) -> Iterator[str]:
    """Refuse before the first text."""
    context.abort_with_status(Refusal(grpc.StatusCode.UNAVAILABLE, "MODELS_UNAVAILABLE", "all open"))
    yield ""


def breaks(request: Ask, context: grpc.ServicerContext) -> Iterator[str]:
    """Say something, then end as a daemon that knows why."""
    yield "Once upon"
    refusal = Refusal(grpc.StatusCode.UNAVAILABLE, "STREAM_BROKEN", "upstream broke", metadata={"partial": "true"})
    context.abort_with_status(refusal)


def loses_connection(request: Ask, context: grpc.ServicerContext) -> Iterator[str]:
    """Say something, then end as gRPC does when the connection is gone."""
    yield "Once upon"
    context.abort(grpc.StatusCode.UNAVAILABLE, "Socket closed")


class Hangs:
    """Says something, then nothing until its call is over."""

    def __init__(self, daemon: FakeDaemon) -> None:
        self._daemon = daemon

    def __call__(self, request: Ask, context: grpc.ServicerContext) -> Iterator[str]:
        yield "Once upon"
        assert self._daemon.ended.wait(20)
