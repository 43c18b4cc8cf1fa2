"""What a streamed answer adds up to."""

from collections.abc import Iterator
from contextlib import contextmanager

from penstock.connection import Call
from penstock.errors import PenstockError, StreamBroken, Unreachable
from penstock.v1.agent_service_pb2 import ProcessResponse, ProcessStreamRequest, ProcessStreamResponse


class Fold:
    """Takes the events of one stream; knows the text of each, and in the end the whole response."""

    def __init__(self, call: Call[ProcessStreamRequest]) -> None:
        self._call = call
        self._pieces: list[str] = []
        self._response: ProcessResponse | None = None

    @property
    def response(self) -> ProcessResponse:
        """The whole response, its output included; raises RuntimeError before the stream has ended well."""
        if self._response is None:
            raise RuntimeError("a stream has its response once its text was read to the end")
        return self._response

    def add(self, event: ProcessStreamResponse) -> str:
        """Take the next event and return the text it brings, which may be empty."""
        if event.HasField("completed"):
            self._response = event.completed.response
            self._response.output = "".join(self._pieces)
        if event.delta.text:
            self._pieces.append(event.delta.text)
        return event.delta.text

    def finish(self) -> None:
        """Take the end of the stream; raise StreamBroken unless its response came first."""
        if self._response is None:
            raise self._broken("the stream ended without its response")

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Turn a failed RPC in this block into the exception that says why."""
        try:
            with self._call.errors():
                yield
        except PenstockError as error:
            if not self._pieces:
                raise
            if isinstance(error, Unreachable):
                raise self._broken(error.message) from error
            # Where the daemon said nothing, as of a deadline that passes here first, it is so all the same.
            error.metadata["partial"] = "true"
            raise

    def _broken(self, message: str) -> StreamBroken:
        return StreamBroken(message, request_id=self._call.request_id, metadata={"partial": "true"})
