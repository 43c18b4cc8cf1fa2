"""The page at `/`, as a real browser shows it to whoever was woken, whatever eyes and hands they have."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from fakes.night import night
from fakes.snapshots import SNAPSHOT
from peers import library
from peers.browser import Tab, tab
from peers.live_daemon import PROGRAMS, Daemons, run
from penstockd.admin import Admin
from penstockd.health import Health
from penstockd.logs.log import Log

LOOKS: dict[str, dict[str, Any]] = {
    "desktop": {"width": 1280},
    "dark": {"width": 1280, "is_dark": True},
    "narrow": {"width": 400, "height": 800},
}
SHOWN = "document.querySelector('#pool table')?.checkVisibility()"


@pytest.fixture
async def page(tmp_path: Path) -> AsyncIterator[Tab]:
    """A browser that complains of nothing."""
    async with tab(tmp_path / "profile") as page:
        yield page
        assert page.complaints == []


@asynccontextmanager
async def serving(snapshot: Any, *, token: str | None = None, port: int = 0) -> AsyncIterator[str]:  # noqa: ANN401
    """An admin port that shows `snapshot`; its URL."""
    admin = Admin(
        host="127.0.0.1",
        port=port,
        token=token,
        registry=CollectorRegistry(),
        health=Health([]),
        snapshot=lambda: snapshot,
        log=Log("penstockd"),
    )
    try:
        yield f"http://127.0.0.1:{await admin.start()}/"
    finally:
        await admin.stop()


async def violations(page: Tab) -> list[str]:
    """What axe finds against the page as it stands."""
    source = await asyncio.to_thread(library("axe/axe.min.js").read_text, encoding="utf-8")
    await page.run(f"{source}; 0")
    found = await page.run(
        "axe.run(document, {resultTypes: ['violations']}).then(({violations}) =>"
        " violations.map(({id, nodes}) => `${id}: ${nodes.map(({html}) => html).join(' ')}`))"
    )
    return [str(violation) for violation in found]


async def overflow(page: Tab) -> int:
    """By how many pixels the page is wider than its window."""
    return int(await page.run("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


@pytest.mark.timeout(180)
async def test_a_bad_night_is_seen_with_its_causes_and_victims(daemons: Daemons, page: Tab, tmp_path: Path) -> None:
    """The page and `penstock top` name the model that died, the tenants that are denied, and the ledger."""
    async with night(daemons, tmp_path) as tonight:
        admin = tonight.daemon.admin
        await page.open(f"{admin}/", width=1280)
        await page.until("document.querySelector('#state-title').textContent.startsWith('All is well')")
        tonight.misbehave()
        for cause in ("fast is open: server error", "globex has used up its budget", "acme is being denied by 5/s"):
            await page.until(f"document.querySelector('#problems').textContent.includes({cause!r})")
        # A slice of the bad night is over, so that the charts have something to show.
        await page.until("document.querySelector('#traffic .warn-fill').getAttribute('d').length > 10")
        with tonight.locked_ledger():
            await page.until("document.querySelector('#problems').textContent.includes('ledger cannot be written')")
            for look, screen in LOOKS.items():
                await page.open(f"{admin}/", **screen)
                await page.until(SHOWN)
                await page.photograph(tmp_path / f"{look}.png")
                assert await violations(page) == [], look
                assert await overflow(page) == 0, look
            worst = await page.text("#problems li")
            code, top, _ = await run(
                PROGRAMS / "penstock", "top", "--once", environ={"PENSTOCK_ADMIN": admin, "COLUMNS": "100"}
            )
        await page.until("!document.querySelector('#problems').textContent.includes('ledger cannot be written')")
        changes = await page.text("#changes")

    assert worst.startswith("Critical\n")
    assert "ledger" in worst
    assert code == 0
    for line in ("The ledger cannot be written", "fast is open: server error", "globex has used up its budget"):
        assert line in top
    assert "acme is being denied by 5/s requests" in top
    assert "recovered" in changes
    assert "server error" in changes


async def test_a_locked_port_asks_for_its_token_and_keeps_it_in_the_tab(page: Tab) -> None:
    """A wrong one is said to be wrong; a right one survives a reload and is in no address."""
    async with serving(SNAPSHOT, token="open sesame") as url:
        await page.open(url)
        await page.until("document.querySelector('#door').checkVisibility()")
        assert await violations(page) == []

        await type_in(page, "open barley")
        await page.until("document.querySelector('#door-error').textContent === 'That token was not accepted.'")
        await type_in(page, "open sesame")
        await page.until(SHOWN)
        await page.open(url)
        await page.until(SHOWN)
        stored = await page.run("[location.href, document.cookie, localStorage.length, sessionStorage.length]")
        await page.run("document.querySelector('#forget').click()")
        await page.until("document.querySelector('#door').checkVisibility()")

        assert stored == [url, "", 0, 1]
        assert await page.run("sessionStorage.length") == 0
    page.complaints.clear()  # a browser logs every 401


async def type_in(page: Tab, token: str) -> None:
    """Write a token into the form and press Enter, as people do."""
    await page.run("document.querySelector('#token').focus()")
    await page.send("Input.insertText", text=token)
    await page.press("Enter", code=13, text="\r")


async def test_a_daemon_that_goes_is_shown_as_gone_and_comes_back(page: Tab) -> None:
    """What was seen last stays, and is not passed off as now."""
    async with serving(SNAPSHOT) as url:
        await page.open(url)
        await page.until(SHOWN)
    await page.until("document.querySelector('#link-text').textContent.startsWith('Disconnected, as of ')")
    assert "The daemon does not answer" in await page.text("#state-title")
    assert await page.run(SHOWN)
    assert await violations(page) == []

    async with serving(SNAPSHOT, port=int(url.rstrip("/").rpartition(":")[2])):
        await page.until("document.querySelector('#link-text').textContent === 'Live'")
        assert "things to look at" in await page.text("#state-title")
    page.complaints.clear()  # a browser logs every connection that is refused


async def test_it_is_used_by_keyboard(page: Tab) -> None:
    """The first stop skips to the content, the next ones pause and go on; paused, nothing moves."""
    it = deepcopy(SNAPSHOT)
    async with serving(it) as url:
        await page.open(url)
        await page.until(SHOWN)

        await page.press("Tab", code=9)
        assert await page.run("document.activeElement.textContent") == "Skip to content"
        await page.press("Tab", code=9)
        await page.press("Enter", code=13, text="\r")
        await page.until("document.querySelector('#pause').getAttribute('aria-pressed') === 'true'")
        it["version"] = "9.9.9"
        await asyncio.sleep(2.5)
        paused = await page.text("#daemon")
        await page.press("Enter", code=13, text="\r")
        await page.until("document.querySelector('#daemon').textContent.includes('9.9.9')")

    assert "1.2.3" in paused


async def test_what_the_daemon_says_stays_text(page: Tab) -> None:
    """Markup in a fault, a tenant's name or a cause is read, not run."""
    attack = "<img src=x onerror='window.run=1'></script><script>window.run=1</script>"
    async with serving(poisoned(SNAPSHOT, attack)) as url:
        await page.open(url)
        await page.until(SHOWN)
        await asyncio.sleep(0.2)

        assert attack in await page.text("#problems")
        assert attack in await page.text("#changes")
        assert await page.run("document.images.length + document.scripts.length") == 1
        assert await page.run("window.run") is None


def poisoned(part: Any, attack: str) -> Any:  # noqa: ANN401
    """The same snapshot, in which every free text is an attack."""
    match part:
        case dict():
            return {name: value if name in FIXED else poisoned(value, attack) for name, value in part.items()}
        case list():
            return [poisoned(each, attack) for each in part]
        case str():
            return attack
        case _:
            return part


FIXED = {"severity", "state"}
"""What comes from a closed set."""


async def test_a_budget_and_a_change_are_shown_as_they_are(page: Tab) -> None:
    """The table rounds as the problem above it does, and nothing is named twice."""
    it = deepcopy(SNAPSHOT)
    fractions = (0, 0.0588, 0.29, 0.948, 0.9999, 1)
    it["budgets"] = [{**it["budgets"][0], "tenant": f"t{part}", "fraction": part} for part in fractions]
    change = {**it["changes"][0], "what": "configuration", "subject": "configuration", "cause": "2_in_the_log"}
    it["changes"] = [{**change, "count": 1}]
    async with serving(it) as url:
        await page.open(url)
        await page.until(SHOWN)

        cells = "document.querySelectorAll('#budgets td[data-label=Used] > span:first-child')"
        used = await page.run(f"Array.from({cells}, (it) => it.textContent)")
        changes = await page.run("document.querySelector('#changes').textContent")

    assert used == ["0 %", "5.8 %", "29 %", "94 %", "99 %", "100 %"]
    assert changes.count("configuration") == 1


async def test_what_no_circuit_and_no_cache_tells_is_shown(page: Tab) -> None:
    """A model that is asked in vain, a certificate that is due, and answers that keys were given again."""
    it = deepcopy(SNAPSHOT)
    it["models"][0] |= {"state": "closed", "cause": "", "next_probe_in": None, "error_rate": 0.0, "blameless": 0.925}
    it["certificate_expires_at"] = it["at"] + 90_061
    async with serving(it) as url:
        await page.open(url, width=400, height=800)
        await page.until(SHOWN)

        in_vain = await page.run("document.querySelector('#pool td[data-label=Errors]').innerText")
        certificate = await page.run("document.querySelector('#engine [data-key=Certificate] dd').textContent")
        keyed = await page.run("document.querySelector('#cache').innerText")
        assert await overflow(page) == 0
        assert await violations(page) == []
        it["certificate_expires_at"] = None
        await page.until("document.querySelector('#engine [data-key=Certificate]') === null")

    assert in_vain.split("\n") == ["0 %", "92 % in vain"]
    assert certificate == "1 d 1 h left"
    assert "3\n2 joined in flight" in keyed


async def test_when_a_model_comes_back_is_shown(page: Tab) -> None:
    """As `penstock top` says it: a provider's patience opens no circuit sooner, and enables nothing."""
    it = deepcopy(SNAPSHOT)
    it["models"] = [{**it["models"][0], "cooldown": 7.2}, it["models"][1]]
    it["models"].append({**it["models"][1], "name": "off", "state": "disabled", "next_probe_in": None})
    async with serving(it) as url:
        await page.open(url)
        await page.until(SHOWN)

        cells = "document.querySelectorAll('#pool td[data-label=State] .under')"
        when = await page.run(f"Array.from({cells}, (it) => it.textContent)")

    assert when == ["connect failed, probe in 15 s", "back in 8 s", ""]


async def test_why_calls_failed_is_shown(page: Tab) -> None:
    """One status has many reasons; where the daemon has its hands full, how many it sent away."""
    it = deepcopy(SNAPSHOT)
    it["calls"] |= {"last_5m_by_reason": {"STREAM_BROKEN": 7, "OVERLOADED": 3210}, "last_5m_shed": 3210}
    async with serving(it) as url:
        await page.open(url)
        await page.until(SHOWN)

        codes = await page.text("#codes")
        glance = await page.text("#glance")
        it["calls"] |= {"by_code": {}, "by_reason": {}, "last_5m_by_reason": {}, "last_5m_shed": 0}
        await page.until("document.querySelector('#codes').textContent === 'No call has ended yet.'")
        later = await page.text("#glance")

    assert codes == (
        "Failed in the last 5 minutes: 3,210 OVERLOADED, 7 STREAM_BROKEN. Since the start: 1,200 OK, 34 UNAVAILABLE."
    )
    assert "of 1,000, 3,210 shed in 5 min" in glance
    assert "shed" not in later


async def test_the_charts_are_told_in_words(page: Tab) -> None:
    """Whoever cannot see them hears the same; changes are spoken once, not with every number."""
    async with serving(SNAPSHOT) as url:
        await page.open(url)
        await page.until(SHOWN)

        labels = await page.run("Array.from(document.querySelectorAll('svg[role=img]'), (it) => it.ariaLabel)")
        spoken = await page.run("document.querySelector('#spoken').textContent")

    assert [label.partition(":")[0] for label in labels] == [
        "Calls of the last 5 minutes, per second",
        "Duration of calls in the last 5 minutes",
        "Spend of the last 5 minutes, per hour",
    ]
    assert spoken == ("3 things to look at. Critical: ledger. Warning: circuit fast. Notice: circuit old.")
