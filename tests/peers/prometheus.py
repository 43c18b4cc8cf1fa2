"""A real Prometheus that watches a daemon by our rules, an hour of which takes it a minute."""

import asyncio
import re
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias

import aiohttp
import yaml

from peers import peer
from peers.live_daemon import PATIENCE

RULES = Path(__file__).parents[2] / "deploy" / "prometheus" / "alerts.yaml"
LISTENING = re.compile(r'msg="Listening on" address=(\S+)')
READY = "Server is ready"
SOONER = {"m": "s", "h": "m"}
EVERY = "500ms"

Alert: TypeAlias = dict[str, Any]


class Prometheus:
    """Asks it what it knows."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def firing(self) -> list[Alert]:
        """The alerts that fire now."""
        alerts: list[Alert] = (await self._get("alerts"))["alerts"]
        return [alert for alert in alerts if alert["state"] == "firing"]

    async def names(self) -> set[str]:
        """Every metric it has seen."""
        return set(await self._get("label/__name__/values"))

    async def query(self, expression: str) -> list[dict[str, Any]]:
        """What an expression is now."""
        found: list[dict[str, Any]] = (await self._get("query", query=expression))["result"]
        return found

    async def seen(self) -> None:
        """Return once it has seen a target; it looks for them after five seconds only."""
        async with asyncio.timeout(PATIENCE):
            while not await self.query("up == 1"):  # noqa: ASYNC110 - as below
                await asyncio.sleep(0.2)

    async def until_known(self, names: set[str]) -> None:
        """Return once it has seen all of these metrics; what it was told may show in its own only later."""
        unknown = names
        try:
            async with asyncio.timeout(PATIENCE):
                while unknown := names - await self.names():  # noqa: ASYNC110 - as below
                    await asyncio.sleep(0.2)
        except TimeoutError as error:
            raise AssertionError(unknown) from error

    async def until(self, is_so: Callable[[list[Alert]], bool]) -> list[Alert]:
        """Return the alerts that fire once they are so."""
        alerts: list[Alert] = []
        try:
            async with asyncio.timeout(PATIENCE):
                while not is_so(alerts := await self.firing()):  # noqa: ASYNC110 - it is another process's
                    await asyncio.sleep(0.2)
        except TimeoutError as error:
            raise AssertionError([alert["labels"] for alert in alerts]) from error
        return alerts

    async def _get(self, path: str, **parameters: str) -> Any:  # noqa: ANN401 - whatever the API has
        async with self._session.get(f"/api/v1/{path}", params=parameters) as answer:
            body = await answer.json()
        assert body["status"] == "success", body
        return body["data"]


@asynccontextmanager
async def prometheus(directory: Path, *targets: str) -> AsyncIterator[Prometheus]:
    """Run it for the length of the block, watching the admin ports at `targets`, of which it has seen one."""
    (directory / "alerts.yaml").write_text(sooner(RULES.read_text(encoding="utf-8")), encoding="utf-8")
    scrape = {"job_name": "penstock", "static_configs": [{"targets": list(targets)}]}
    config = {
        "global": {"scrape_interval": EVERY, "scrape_timeout": EVERY, "evaluation_interval": EVERY},
        "rule_files": ["alerts.yaml"],
        "scrape_configs": [scrape],
    }
    (directory / "prometheus.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        peer("prometheus"),
        f"--config.file={directory / 'prometheus.yaml'}",
        f"--storage.tsdb.path={directory / 'series'}",
        "--web.listen-address=127.0.0.1:0",
        stdin=DEVNULL,
        stdout=DEVNULL,
        stderr=PIPE,
    )
    assert process.stderr is not None
    said = ""
    try:
        async with asyncio.timeout(PATIENCE):
            while READY not in said:
                line = (await process.stderr.readline()).decode()
                assert line, f"Prometheus ended: {said}"
                said += line
        listening = LISTENING.search(said)
        assert listening, said
        reading = asyncio.create_task(process.stderr.read())
        async with aiohttp.ClientSession(f"http://{listening[1]}") as session:
            watching = Prometheus(session)
            await watching.seen()
            yield watching
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
    await reading


def sooner(rules: str) -> str:
    """The rules with their windows, offsets and patience a sixtieth as long."""
    return re.sub(
        r"(\[|\boffset |\bfor: )(\d+)([mh])\b", lambda found: f"{found[1]}{found[2]}{SOONER[found[3]]}", rules
    )
