"""A real Chromium, driven over its DevTools protocol: https://chromedevtools.github.io/devtools-protocol/."""

import asyncio
import os
import re
from asyncio.subprocess import DEVNULL, PIPE
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp

from peers import peer

PATIENCE = 20.0
"""Seconds that anything may take before a test gives up on it."""
LISTENING = re.compile(r"DevTools listening on (ws://\S+)")


class Tab:
    """One page: what it shows, and what it complained of."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, session: str) -> None:
        self.complaints: list[str] = []
        self._socket = socket
        self._session = session
        self._numbers = count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._reader = asyncio.create_task(self._read())

    async def open(self, url: str, *, width: int = 1280, height: int = 900, is_dark: bool = False) -> None:
        """Show `url` on a screen of that size."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}
        still = {"name": "prefers-reduced-motion", "value": "reduce"}
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        await self.send("Emulation.setEmulatedMedia", features=[scheme, still])
        await self.send("Emulation.setDeviceMetricsOverride", **size)
        await self.send("Emulation.setScrollbarsHidden", hidden=True)
        await self.send("Page.navigate", url=url)
        await self.until(f"location.href === {url!r} && document.readyState === 'complete'")

    async def run(self, script: str) -> Any:  # noqa: ANN401 - whatever the script returns
        """Return what an expression, or the promise it makes, comes to."""
        answer = await self.send("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def until(self, script: str) -> None:
        """Return when an expression is true."""
        async with asyncio.timeout(PATIENCE):
            while not await self.run(f"Boolean({script})"):  # noqa: ASYNC110 - the event is the browser's
                await asyncio.sleep(0.05)

    async def text(self, selector: str) -> str:
        """What people read of an element."""
        return str(await self.run(f"document.querySelector({selector!r}).innerText"))

    async def press(self, key: str, *, code: int = 0, text: str = "") -> None:
        """Press a key and let it go."""
        pressed = {"key": key, "windowsVirtualKeyCode": code, **({"text": text} if text else {})}
        await self.send("Input.dispatchKeyEvent", type="keyDown", **pressed)
        await self.send("Input.dispatchKeyEvent", type="keyUp", **pressed)

    async def photograph(self, path: Path) -> None:
        """Write a picture of the whole page, as far down as it goes."""
        picture = await self.send("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        await asyncio.to_thread(path.write_bytes, b64decode(picture["data"]))

    async def send(self, method: str, **parameters: object) -> dict[str, Any]:
        """Send one command and return its result."""
        number = next(self._numbers)
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        await self._socket.send_json({"id": number, "method": method, "params": parameters, "sessionId": self._session})
        async with asyncio.timeout(PATIENCE):
            return await answer

    async def close(self) -> None:
        """Listen no more."""
        self._reader.cancel()
        await asyncio.wait([self._reader])

    async def _read(self) -> None:
        async for message in self._socket:
            event = message.json()
            match event:
                case {"id": int(number), "result": result}:
                    self._answers.pop(number).set_result(result)
                case {"id": int(number), "error": error}:
                    self._answers.pop(number).set_exception(RuntimeError(str(error)))
                case {"method": "Log.entryAdded", "params": {"entry": {"level": "error", "text": text}}}:
                    self.complaints.append(text)
                case {"method": "Runtime.exceptionThrown", "params": {"exceptionDetails": details}}:
                    self.complaints.append(str(details))


@asynccontextmanager
async def tab(profile: Path) -> AsyncIterator[Tab]:
    """Start Chromium with a fresh profile, and open an empty page in it."""
    sandbox = [] if os.geteuid() else ["--no-sandbox"]
    process = await asyncio.create_subprocess_exec(
        peer("chromium"),
        *("--headless=new", "--remote-debugging-port=0", f"--user-data-dir={profile}", "--no-first-run"),
        *("--disable-gpu", "--disable-dev-shm-usage", "--disable-extensions", "--disable-background-networking"),
        *sandbox,
        "about:blank",
        stdin=DEVNULL,
        stdout=DEVNULL,
        stderr=PIPE,
    )
    try:
        address = await _address(process)
        async with aiohttp.ClientSession() as http, http.ws_connect(address, max_msg_size=0) as socket:
            page = Tab(socket, await _attach(socket))
            for domain in ("Page", "Runtime", "Log"):
                await page.send(f"{domain}.enable")
            yield page
            await page.close()
    finally:
        process.terminate()
        await process.communicate()


async def _address(process: asyncio.subprocess.Process) -> str:
    assert process.stderr is not None
    async with asyncio.timeout(PATIENCE):
        async for line in process.stderr:
            if found := LISTENING.search(line.decode()):
                return found[1]
    raise RuntimeError("chromium ended before it listened")


async def _attach(socket: aiohttp.ClientWebSocketResponse) -> str:
    """Return the session of the one page there is."""
    await socket.send_json({"id": 0, "method": "Target.createTarget", "params": {"url": "about:blank"}})
    target = (await _answer(socket))["targetId"]
    parameters = {"targetId": target, "flatten": True}
    await socket.send_json({"id": 0, "method": "Target.attachToTarget", "params": parameters})
    return str((await _answer(socket))["sessionId"])


async def _answer(socket: aiohttp.ClientWebSocketResponse) -> dict[str, Any]:
    async for message in socket:
        if "id" in (answer := message.json()):
            return dict(answer["result"])
    raise RuntimeError("chromium hung up")
