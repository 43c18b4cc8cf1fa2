"""Runs aimock, a server of models that nobody here wrote, with what it shall answer."""

import asyncio
import json
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from peers.live_daemon import PATIENCE, environment

LISTENING = "listening on "


@asynccontextmanager
async def aimock(program: Path, directory: Path, answers: Mapping[str, object]) -> AsyncIterator[str]:
    """Run it for the length of the block and return its URL; `answers` are responses of its own by the user's text."""
    fixtures = [{"match": {"userMessage": text}, "response": answer} for text, answer in answers.items()]
    (directory / "fixtures.json").write_text(json.dumps({"fixtures": fixtures}), encoding="utf-8")
    settings = {"port": 0, "llm": {"fixtures": str(directory / "fixtures.json"), "chunkSize": 5}}
    (directory / "aimock.json").write_text(json.dumps(settings), encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        program, "--config", directory / "aimock.json", env=environment(), stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE):
            greeting = ""
            while LISTENING not in greeting:
                greeting = (await process.stdout.readline()).decode()
                assert greeting, "aimock ended"
        yield greeting.partition(LISTENING)[2].strip()
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
