"""The baseline: the smallest honest server between the same contract and the same upstream, with no policy at all."""

import asyncio
import sys
from typing import Any, TypeAlias

import aiohttp
import grpc
import msgspec
import uvloop
from msgspec import Struct

from penstock.v1 import agent_service_pb2 as pb

Context: TypeAlias = "grpc.aio.ServicerContext[pb.ProcessStreamRequest, pb.ProcessStreamResponse]"


class _Message(Struct):
    content: str = ""


class _Choice(Struct):
    message: _Message | None = None
    delta: _Message | None = None


class _Usage(Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0


class _Completion(Struct):
    choices: list[_Choice]
    usage: _Usage | None = None


_decode = msgspec.json.Decoder(_Completion).decode


class Relay:
    """Relays to the path at the upstream that is named as the agent; every token of a stream is a message.

    As `echo` it gives a unary call its own input and asks nobody: as bare as a server can be, and what a kept answer
    is measured against.
    """

    def __init__(self, upstream: str, session: aiohttp.ClientSession) -> None:
        self._upstream = upstream
        self._session = session

    async def process(self, request: pb.ProcessRequest, _context: object) -> pb.ProcessResponse:
        """Ask once, answer once."""
        if request.agent == "echo":
            return _response(None, output=request.input)
        async with self._post(request) as answer:
            completion = _decode(await answer.read())
        message = completion.choices[0].message
        return _response(completion.usage, output=message.content if message else "")

    async def process_stream(self, request: pb.ProcessStreamRequest, context: Context) -> None:
        """Write each token as it is read. A coroutine that writes costs less than a generator."""
        usage, pending = None, b""
        async with self._post(request, stream=True, stream_options={"include_usage": True}) as answer:
            async for read in answer.content.iter_any():
                *events, pending = (pending + read).split(b"\n\n")
                for event in events:
                    if event == b"data: [DONE]":
                        break
                    completion = _decode(event[6:])
                    usage = completion.usage or usage
                    if completion.choices and (delta := completion.choices[0].delta) and delta.content:
                        await context.write(pb.ProcessStreamResponse(delta=pb.Delta(text=delta.content)))
        await context.write(pb.ProcessStreamResponse(completed=pb.Completed(response=_response(usage))))

    def _post(self, request: pb.ProcessRequest | pb.ProcessStreamRequest, **more: object) -> Any:  # noqa: ANN401 - aiohttp keeps the type private
        body = {"model": "gpt-4", "messages": [{"role": "user", "content": request.input}], **more}
        return self._session.post(
            f"{self._upstream}/{request.agent}/v1/chat/completions", data=msgspec.json.encode(body)
        )


def _response(usage: _Usage | None, *, output: str = "") -> pb.ProcessResponse:
    used = usage or _Usage()
    return pb.ProcessResponse(
        output=output,
        finish_reason=pb.FINISH_REASON_STOP,
        model_used="gpt-4",
        usage=pb.Usage(
            input_tokens=used.prompt_tokens, output_tokens=used.completion_tokens, total_tokens=used.total_tokens
        ),
    )


async def serve(upstream: str) -> None:
    """Serve on a free port, which is said in one line, until killed."""
    headers = {"content-type": "application/json", "authorization": "Bearer key"}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), headers=headers) as session:
        relay = Relay(upstream, session)
        methods: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            "Process": grpc.unary_unary_rpc_method_handler(
                relay.process, pb.ProcessRequest.FromString, pb.ProcessResponse.SerializeToString
            ),
            "ProcessStream": grpc.unary_stream_rpc_method_handler(
                relay.process_stream, pb.ProcessStreamRequest.FromString, pb.ProcessStreamResponse.SerializeToString
            ),
        }
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("penstock.v1.AgentService", methods),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        print(f'{{"listen": "127.0.0.1:{port}"}}', flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1]))
