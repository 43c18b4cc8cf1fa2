"""A configuration is taken into service whole, or not at all."""

import asyncio
import logging
import threading
from collections.abc import Callable

import pytest

from fakes.house import A_CHANGED, TWO, House
from penstockd.config import Settings
from penstockd.logs.formats import JsonFormatter, PrettyFormatter
from penstockd.logs.log import Log
from penstockd.logs.redaction import Redaction
from penstockd.reload import Reload, brief
from penstockd.resilience.circuit import State
from penstockd.runtime import Runtime


class SlowFiles:
    """Files that each reload reads for as long as a test likes; `texts` is what they say, one after the other."""

    def __init__(self, house: House, *texts: str) -> None:
        self.reads = 0
        self.begun = asyncio.Event()
        self.ended = asyncio.Event()
        self._settings = [house.settings(text) for text in texts]
        self._loop = asyncio.get_running_loop()
        self._go_on = threading.Semaphore(0)

    def load(self) -> Settings:
        self.reads += 1
        self._loop.call_soon_threadsafe(self.begun.set)
        self._go_on.acquire()
        self._loop.call_soon_threadsafe(self.ended.set)
        return self._settings[self.reads - 1]

    async def are_being_read(self) -> None:
        """Return once a reload has begun to read them."""
        await self.begun.wait()
        self.begun.clear()

    def end(self) -> None:
        """Let one reading of them end."""
        self._go_on.release()


def reloading(house: House, files: SlowFiles, asked: asyncio.Event) -> "asyncio.Task[None]":
    """What reads `files` whenever that is asked for."""
    reload = Reload(
        house.app, files.load, started=house.settings(TWO), clock=house.clock, sink=house.sink, log=Log("test")
    )
    return asyncio.create_task(reload.whenever(asked))


async def until(is_so: Callable[[], bool]) -> None:
    """Return when it is."""
    while not is_so():  # noqa: ASYNC110 - a reload tells nobody but the log
        await asyncio.sleep(0)


async def test_all_goes_on_while_the_files_are_read(house: House) -> None:
    """A file of ten thousand tenants takes seconds, in which the old configuration serves."""
    house.start()
    before, asked = house.model("a"), asyncio.Event()
    files = SlowFiles(house, A_CHANGED)
    task = reloading(house, files, asked)

    asked.set()
    await files.are_being_read()
    assert house.model("a") is before
    files.end()
    await until(lambda: house.model("a") is not before)
    task.cancel()

    assert house.model("a").permits.limit == 3


async def test_those_who_ask_while_files_are_read_get_one_more_reload(house: House) -> None:
    """None of them is lost, as the files may have changed since; and no two are read at once."""
    house.start()
    asked = asyncio.Event()
    files = SlowFiles(house, TWO, A_CHANGED)
    task = reloading(house, files, asked)

    asked.set()
    await files.are_being_read()
    for _ in range(3):
        asked.set()
    for _ in range(10):
        await asyncio.sleep(0)
    assert files.reads == 1
    files.end()
    await files.are_being_read()
    files.end()
    await until(lambda: house.model("a").permits.limit == 3)
    for _ in range(10):
        await asyncio.sleep(0)
    task.cancel()

    assert files.reads == 2
    assert [each.what for each in house.app.state.changes.latest] == ["configuration"] * 2


async def test_what_is_read_when_the_daemon_stops_is_not_used(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """Nor does anybody wait for it, or hear of it."""
    caplog.set_level("INFO")
    house.start()
    before, asked = house.model("a"), asyncio.Event()
    files = SlowFiles(house, A_CHANGED)
    task = reloading(house, files, asked)
    asked.set()
    await files.are_being_read()

    task.cancel()
    await asyncio.wait([task])
    files.end()
    await files.ended.wait()
    for _ in range(10):
        await asyncio.sleep(0)

    assert house.model("a") is before
    assert caplog.records == []


async def test_a_bad_file_changes_nothing(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """Every mistake of it is said."""
    house.start()
    before = house.model("a")

    house.reload(TWO.replace("openai", "opnai"))

    assert house.model("a") is before
    said = [record.__dict__["fields"] for record in caplog.records]
    assert [fields["setting"] for fields in said] == ["models.a.provider", "models.b.provider"]
    assert all(fields["mistake"].endswith('; did you mean "openai"?') for fields in said)


@pytest.mark.parametrize(
    "error", [RuntimeError("unforeseen"), SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError()], ids=repr
)
async def test_whatever_goes_wrong_changes_nothing(
    house: House, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    """A daemon that serves goes on serving, and somebody sees why it serves the old configuration."""
    house.start()
    before = house.model("a")

    def build(settings: Settings) -> Runtime:
        raise error

    monkeypatch.setattr(house.app, "build", build)
    house.reload(A_CHANGED)

    assert house.model("a") is before
    [record] = caplog.records
    assert record.getMessage() == "the new configuration is not used"
    assert record.exc_info
    assert record.exc_info[1] is error
    assert house.app.state.changes.latest[0].cause == "an error in the log"


@pytest.mark.parametrize("formatter", [JsonFormatter(), PrettyFormatter()])
async def test_a_mistake_about_a_key_can_be_read(
    house: House, caplog: pytest.LogCaptureFixture, formatter: logging.Formatter
) -> None:
    """What stands where keys stand is masked: neither the mistake nor the names of settings are."""
    caplog.set_level("INFO")
    key = "model: m, api_key: {file: %s}}"
    house.start()
    house.reload(TWO.replace("model: m}", key % "/no/where"))
    house.reload(TWO.replace("model: m}", "model: m, api_key: a-new-secret}"))

    lines = [Redaction()(formatter.format(record)) for record in caplog.records]

    assert "cannot read /no/where: No such file or directory" in lines[0]
    assert "mistake" in lines[0]
    assert "models.a.api_key" in lines[0]
    assert "models.a.api_key, models.b.api_key" in lines[-1]
    assert not any("***" in line for line in lines)


async def test_a_good_file_is_used_at_once(house: House) -> None:
    """What it changes is new, what it keeps is kept."""
    house.start()
    kept = house.model("b")

    house.reload(A_CHANGED)

    assert house.model("a").permits.limit == 3
    assert house.model("b") is kept


async def test_a_misconfigured_model_is_tried_again(house: House) -> None:
    """Somebody may have mended the key: it is closed after a reload."""
    house.start()
    house.app.succession.changed(house.model("a"), house.model("a").breaker.trip("misconfigured", 300.0))

    house.reload(TWO)

    assert house.model("a").breaker.state is State.CLOSED
    assert await house.health() == {"a": True, "b": True}


async def test_what_takes_a_restart_is_said(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """The rest of the file is used."""
    house.start()

    house.reload(TWO + 'server: {drain_delay: 7s, max_in_flight: 5}\nadmin: {listen: "127.0.0.1:1"}')

    said = [record.__dict__["fields"].get("setting") for record in caplog.records if record.levelname == "WARNING"]
    assert said == ["server.drain_delay", "admin"]


async def test_what_takes_a_restart_is_said_until_there_was_one(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """What runs is what the process started with: to go back to that needs none."""
    house.start()

    house.reload(TWO + "server: {drain_delay: 7s}")
    house.reload(TWO + "server: {drain_delay: 7s}")
    assert len(_warnings(caplog)) == 2
    house.reload(TWO)

    assert len(_warnings(caplog)) == 2


async def test_warnings_are_said_once_each(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """As the start says them, and those that come with time."""
    key = "{name: k, hash: 'hmac-sha256:" + "0" * 64 + "', expires: 2023-11-16}"
    tenants = "tenants: {default: {limits: [{per: user, tokens: 100/m}], keys: [" + key + "]}}"
    house.start()

    for seconds in (0.0, 0.0, 86400.0, 86400.0):
        house.clock.advance(seconds)
        house.reload(TWO + tenants)

    said = [message.partition(": ")[0] for message in _warnings(caplog)]
    assert said == ["tenants.default.limits[0].tokens", "tenants.default.keys[0].expires"]


async def test_every_reload_is_remembered_for_whoever_looks(house: House) -> None:
    """The refused ones too; what was wrong is in the log, which masks secrets."""
    house.start()

    house.reload(TWO.replace("openai", "opnai"))
    house.reload(A_CHANGED)

    seen = [(each.what, each.state, each.cause) for each in reversed(house.app.state.changes.latest)]
    assert seen == [
        ("configuration", "refused", "2 in the log"),
        ("configuration", "reloaded", "models.a.max_in_flight"),
    ]


async def test_a_refusal_stands_until_a_configuration_is_used(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says where, and no value."""
    house.start()
    refused = house.app.succession

    assert refused.refused == ""
    house.reload(TWO.replace("openai", "opnai"))
    assert refused.refused == "models.a.provider, models.b.provider"
    house.reload(TWO)
    assert refused.refused == ""
    with monkeypatch.context() as broken:
        broken.setattr(house.app, "build", lambda _settings: 1 / 0)
        house.reload(TWO)
    assert refused.refused == "an error in the log"


async def test_what_has_changed_is_named(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """So that who was woken sees whether it began with it; many changes do not make a long line."""
    caplog.set_level("INFO")
    house.start()

    house.reload(TWO)
    house.reload(TWO + "routes: {r: {models: [a]}}")

    said = [record.__dict__["fields"]["changed"] for record in caplog.records if "reloaded" in record.getMessage()]
    assert said == ["nothing", "routes.r"]
    assert brief(["a", "b", "c", "d", "e"], 3) == "a, b, c, 2 more"
    assert brief(["a", "b", "c"], 3) == "a, b, c"


async def test_a_refused_reload_tells_nobody_its_secrets(house: House) -> None:
    """Foreign code has seen them by then, and may repeat them; those that stay in use are hidden as well."""
    house.start(TWO.replace("model: m}", "model: m, api_key: secret-in-use}"))

    for number in range(3):
        house.reload(
            TWO.replace("model: m}", f"model: m, api_key: new-secret-{number}}}", 1).replace("openai", "no:thing")
        )
    house.sink.handle(logging.LogRecord("test", logging.ERROR, "", 0, "new-secret-2, secret-in-use", (), None))
    house.sink.close()

    assert house.written.getvalue() == "***, ***\n"


async def test_the_log_follows(house: House) -> None:
    """It has the new level, and tells nobody the new secrets."""
    house.start()

    house.reload(TWO.replace("model: m}", "model: m, api_key: a-new-secret}") + "log: {level: ERROR}")
    house.sink.handle(logging.LogRecord("test", logging.ERROR, "", 0, "refused: a-new-secret", (), None))
    house.sink.close()

    assert logging.getLogger().level == logging.ERROR
    assert house.written.getvalue() == "refused: ***\n"


async def test_a_change_of_the_level_is_seen_by_whichever_says_more(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever changes it looks for the line that says so; once it is quiet it stays so."""
    quiet, loud = TWO + "log: {level: WARNING}", TWO + "log: {level: INFO}"
    house.start(quiet)
    logging.getLogger().setLevel("WARNING")

    for text in (quiet, loud, loud, quiet, quiet):
        house.reload(text)

    said = [record.__dict__["fields"]["changed"] for record in caplog.records]
    assert said == ["log.level", "nothing", "log.level"]
    assert logging.getLogger().level == logging.WARNING


def _warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
