"""The sync client with the async client's face, so that one test drives both."""

import asyncio
from typing import Self

from penstock import AgentClient, ProcessResponse, SyncAgentClient
from penstock.v1.agent_service_pb2 import Agent
from penstock.v1.pool_service_pb2 import Model
from penstock.v1.usage_service_pb2 import GetUsageResponse


class Twin:
    """A SyncAgentClient whose calls are awaited."""

    def __init__(self, target: str, timeout: float = 30.0) -> None:
        self._client = SyncAgentClient(target, timeout=timeout)

    async def process(self, text: str, **options: object) -> ProcessResponse:
        return await asyncio.to_thread(self._client.process, text, **options)  # type: ignore[arg-type]

    def stream(self, text: str, **options: object) -> "TwinStream":
        return TwinStream(self._client, text, options)

    async def list_agents(self) -> list[Agent]:
        return await asyncio.to_thread(self._client.list_agents)

    async def list_models(self) -> list[Model]:
        return await asyncio.to_thread(self._client.list_models)

    async def get_usage(self, **options: object) -> GetUsageResponse:
        return await asyncio.to_thread(self._client.get_usage, **options)  # type: ignore[arg-type]

    async def close(self) -> None:
        self._client.close()


class TwinStream:
    """A SyncStream that is iterated with `async for`."""

    def __init__(self, client: SyncAgentClient, text: str, options: dict[str, object]) -> None:
        self._stream = client.stream(text, **options)  # type: ignore[arg-type]

    @property
    def response(self) -> ProcessResponse:
        return self._stream.response

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        piece = await asyncio.to_thread(next, self._stream, None)
        if piece is None:
            raise StopAsyncIteration
        return piece

    async def __aenter__(self) -> Self:
        self._stream.__enter__()
        return self

    async def __aexit__(self, *exit_: object) -> None:
        self._stream.__exit__(None, None, None)


Client = AgentClient | Twin
