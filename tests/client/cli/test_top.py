"""`penstock top` shows a daemon live, and is honest when it cannot."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from fakes.snapshots import FakeAdminPort, fake_admin_port
from penstock.cli import main

PENSTOCK = [sys.executable, "-c", "import sys, penstock.cli; sys.exit(penstock.cli.main())"]


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAdminPort]:
    """An admin port that the environment names."""
    with fake_admin_port() as port:
        monkeypatch.setenv("PENSTOCK_ADMIN", port.url)
        monkeypatch.delenv("PENSTOCK_ADMIN_TOKEN", raising=False)
        yield port


class Terminal:
    """The command on a terminal of 80 columns; what it has written so far, and how it ends."""

    def __init__(self, *arguments: str, **environment: str) -> None:
        self._leader, follower = os.openpty()
        variables = {**os.environ, "COLUMNS": "80", "LINES": "60", **environment}
        self._process = subprocess.Popen(
            [*PENSTOCK, "top", *arguments], stdout=follower, stderr=follower, env=variables
        )
        os.close(follower)
        self.written = ""
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def until(self, text: str, count: int = 1) -> None:
        """Return when `text` was written that often."""
        deadline = time.monotonic() + 20
        while self.written.count(text) < count:
            assert time.monotonic() < deadline, self.written
            time.sleep(0.01)

    def interrupt(self, number: signal.Signals = signal.SIGINT) -> int:
        """Press Ctrl-C, or send another signal, and return what the command exits with."""
        self._process.send_signal(number)
        code = self._process.wait(20)
        self._reader.join()
        os.close(self._leader)
        return code

    def _read(self) -> None:
        # The terminal ends with an error when nobody has it open any more.
        try:
            while part := os.read(self._leader, 65536):
                self.written += part.decode()
        except OSError:
            return


def test_once_prints_and_exits(port: FakeAdminPort, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a terminal there is nothing to redraw and nothing coloured."""
    assert main(["top", "--once"]) == 0

    out = capsys.readouterr().out
    assert out.startswith("penstock 1.2.3 · production")
    assert "CRITICAL  The ledger cannot be written: full.\n" in out
    assert "\x1b" not in out
    assert port.asked == [("/status", None)]


def test_json_is_the_snapshot_itself(port: FakeAdminPort, capsys: pytest.CaptureFixture[str]) -> None:
    """One object a line."""
    assert main(["top", "--once", "--json"]) == 0

    assert json.loads(capsys.readouterr().out) == port.snapshot


def test_a_token_is_sent_to_the_port_and_to_nobody_else(
    port: FakeAdminPort, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not to where it points, nor to a proxy."""
    monkeypatch.setenv("PENSTOCK_ADMIN_TOKEN", "secret")
    monkeypatch.setenv("http_proxy", "http://192.0.2.1:9")
    with fake_admin_port() as elsewhere:
        port.status, port.headers = 302, {"location": f"{elsewhere.url}/status"}

        assert main(["top", "--once"]) == 1

        assert elsewhere.asked == []
    assert port.asked == [("/status", "Bearer secret")]
    assert "HTTP status 302" in capsys.readouterr().err


def test_a_token_may_end_as_files_do(port: FakeAdminPort, monkeypatch: pytest.MonkeyPatch) -> None:
    """The daemon strips what it reads of a file, too."""
    monkeypatch.setenv("PENSTOCK_ADMIN_TOKEN", "secret\n")

    assert main(["top", "--once"]) == 0

    assert port.asked == [("/status", "Bearer secret")]


def test_a_token_is_sent_in_utf_8(port: FakeAdminPort, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the daemon compares it: its token may be any line of text."""
    monkeypatch.setenv("PENSTOCK_ADMIN_TOKEN", "sésame→")

    assert main(["top", "--once"]) == 0

    [(_, sent)] = port.asked
    assert sent is not None
    assert sent.encode("latin-1") == "Bearer sésame→".encode()


@pytest.mark.parametrize("token", ["sec\nret", "sec\x1bret", "sec\udcffret"])
def test_a_token_that_no_daemon_has_is_2(
    port: FakeAdminPort, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], token: str
) -> None:
    """What is wrong is told, and the token is not."""
    monkeypatch.setenv("PENSTOCK_ADMIN_TOKEN", token)

    assert main(["top", "--once"]) == 2

    said = "PENSTOCK_ADMIN_TOKEN must be one line of text: set it to the daemon's admin.token"
    assert capsys.readouterr().err == f"penstock: {said}\n"
    assert port.asked == []


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_output_that_cannot_show_every_letter_shows_the_others(port: FakeAdminPort, options: list[str]) -> None:
    """In ASCII a bar of a chart is a question mark, and JSON has an escape for everything."""
    port.snapshot["version"] = "1.2.3-é"
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}

    done = subprocess.run([*PENSTOCK, "top", "--once", *options], env=environment, capture_output=True, check=False)

    assert (done.returncode, done.stderr) == (0, b"")
    if options:
        assert json.loads(done.stdout) == port.snapshot
    else:
        assert done.stdout.startswith(b"penstock 1.2.3-? ? production")


def test_a_path_before_the_port_is_kept(port: FakeAdminPort) -> None:
    """A proxy may serve several daemons."""
    assert main(["top", "--once", "--admin", f"{port.url}/penstock-1/"]) == 0

    assert port.asked == [("/penstock-1/status", None)]


def test_a_wrong_token_is_not_called_missing(
    port: FakeAdminPort, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever has set it need not be told to set it."""
    monkeypatch.setenv("PENSTOCK_ADMIN_TOKEN", "secret")
    port.status, port.body = 401, b""

    assert main(["top", "--once"]) == 1

    said = "does not know the token in PENSTOCK_ADMIN_TOKEN: set it to the daemon's admin.token"
    assert capsys.readouterr().err == f"penstock: UNAUTHENTICATED: {port.url} {said}\n"


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (401, b"", "UNAUTHENTICATED: {url} needs its admin token: set PENSTOCK_ADMIN_TOKEN"),
        (421, b"", "PERMISSION_DENIED: {url} answers under another name only"),
        (200, b"<html>", "UNKNOWN: what {url} answers is no snapshot"),
        (200, b"[]", "UNKNOWN: what {url} answers is no snapshot"),
        (404, b"", "UNKNOWN: {url} answered with HTTP status 404"),
    ],
)
def test_a_refusal_is_one_line(
    port: FakeAdminPort, capsys: pytest.CaptureFixture[str], status: int, body: bytes, said: str
) -> None:
    """That says what to do, where something can be done."""
    port.status, port.body = status, body

    assert main(["top", "--once"]) == 1

    assert capsys.readouterr().err == f"penstock: {said.format(url=port.url)}\n"


def test_nobody_there_is_3(capsys: pytest.CaptureFixture[str]) -> None:
    """As with every other command."""
    assert main(["top", "--once", "--admin", "http://127.0.0.1:1"]) == 3

    assert capsys.readouterr().err.startswith("penstock: UNREACHABLE: no daemon shows itself at http://127.0.0.1:1: ")


def test_a_port_of_another_kind_is_3(capsys: pytest.CaptureFixture[str]) -> None:
    """As the one for calls is, whose bytes are nothing for a terminal."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        answering = threading.Thread(target=_answer_with_http2, args=(server,))
        answering.start()
        code = main(["top", "--once", "--admin", url])
        answering.join()

    said = f"what answers at {url} is no admin port: the daemon's admin.listen says where that is"
    assert (code, capsys.readouterr().err) == (3, f"penstock: UNREACHABLE: {said}\n")


def _answer_with_http2(server: socket.socket) -> None:
    connection, _ = server.accept()
    with connection:
        connection.recv(65536)
        connection.sendall(b"\0\0\x06\4\0\0\0\0\0\0\5\0\0@\0\n")
        connection.recv(65536)


@pytest.mark.parametrize(
    "url", ["127.0.0.1:9464", "ftp://127.0.0.1", "http://", "http://h/?token=x", "http://user:word@h"]
)
def test_what_is_no_admin_port_is_2(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A token in it, for one: it would be listed with the process."""
    assert main(["top", "--once", "--admin", url]) == 2

    assert "is not the URL of an admin port" in capsys.readouterr().err


@pytest.mark.parametrize(("number", "exits"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_terminal_is_redrawn_until_ctrl_c_or_a_signal(
    port: FakeAdminPort, number: signal.Signals, exits: int
) -> None:
    """In colours, from its upper left corner; the cursor comes back."""
    terminal = Terminal("--interval", "50ms")
    terminal.until("penstock 1.2.3", count=3)
    code = terminal.interrupt(number)

    assert code == exits
    assert "\x1b[31m\x1b[1mCRITICAL" in terminal.written
    assert terminal.written.count("\x1b[H") >= 3
    assert "Traceback" not in terminal.written
    assert terminal.written.rindex("\x1b[?25h") > terminal.written.rindex("\x1b[?25l")


def test_no_color_is_respected(port: FakeAdminPort) -> None:
    """The rest stays."""
    terminal = Terminal("--interval", "50ms", NO_COLOR="1")
    terminal.until("CRITICAL")
    terminal.interrupt()

    assert "\x1b[31m" not in terminal.written


def test_a_short_terminal_shows_what_is_at_the_top(port: FakeAdminPort) -> None:
    """It does not scroll."""
    terminal = Terminal("--interval", "50ms", LINES="12")
    terminal.until("penstock 1.2.3", count=2)
    terminal.interrupt()

    assert "CRITICAL" in terminal.written
    assert "CHANGES" not in terminal.written
    first = terminal.written.split("\x1b[J")[0]
    assert first.count("\n") == 11


def test_a_daemon_that_is_lost_and_found_again_is_shown_so(port: FakeAdminPort) -> None:
    """With what was seen last, meanwhile."""
    terminal = Terminal("--interval", "50ms")
    terminal.until("penstock 1.2.3")
    port.status = 503
    terminal.until("DISCONNECTED: ")
    port.status, port.snapshot["version"] = 200, "1.2.4"
    terminal.until("penstock 1.2.4")
    terminal.interrupt()

    last = terminal.written.rsplit("\x1b[H", 1)[1]
    assert "DISCONNECTED" not in last


def test_a_pipe_gets_one_board_after_the_other(
    port: FakeAdminPort, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Plain, until its reader has enough."""
    boards = iter(range(2))

    def sleep(_seconds: float) -> Any:  # noqa: ANN401
        if next(boards, None) is None:
            raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", sleep)

    assert main(["top"]) == 130

    out = capsys.readouterr().out
    assert out.count("penstock 1.2.3") == 3
    assert "\x1b" not in out
