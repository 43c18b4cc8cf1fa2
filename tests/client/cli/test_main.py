"""The command as a whole: its exit codes, and how it treats terminals and pipes."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

import penstock
from fakes.daemon import Ask, FakeDaemon
from penstock.cli import BROKEN_PIPE, main

Run = Callable[..., tuple[int, str, str]]

PENSTOCK = [sys.executable, "-c", "import sys, penstock.cli; sys.exit(penstock.cli.main())"]


def on_terminal(*arguments: str, **environment: str) -> str:
    """Return what the command writes to a terminal that is both its outputs."""
    leader, follower = os.openpty()
    subprocess.run(
        [*PENSTOCK, *arguments], stdout=follower, stderr=follower, env=os.environ | environment, check=True, timeout=30
    )
    os.close(follower)
    written = os.read(leader, 65536).decode()
    os.close(leader)
    return written


def without(name: str) -> dict[str, str]:
    """Return the environment, less one name."""
    return {each: value for each, value in os.environ.items() if each != name}


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    """`penstock --version` needs no daemon."""
    with pytest.raises(SystemExit) as caught:
        main(["--version"])

    assert caught.value.code == 0
    assert capsys.readouterr().out == f"penstock {penstock.__version__}\n"


@pytest.mark.parametrize(
    "arguments", [["call", "café →"], ["call", "café →", "--stream"], ["call", "café →", "--json"]]
)
def test_an_answer_that_cannot_be_shown_as_it_is_is_shown_all_the_same(
    daemon: FakeDaemon, arguments: list[str]
) -> None:
    """It was paid for."""
    command = [*PENSTOCK, *arguments, "--target", daemon.target]

    done = subprocess.run(command, capture_output=True, env=os.environ | {"PYTHONIOENCODING": "ascii"}, check=False)

    assert (done.returncode, b"caf" in done.stdout) == (0, True)


def test_an_unbuffered_output_loses_nothing_unsaid(daemon: FakeDaemon) -> None:
    """PYTHONUNBUFFERED, which container images set, makes Python write what fits and forget the rest."""
    command = [*PENSTOCK, "call", "-", "--target", daemon.target]
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(b"x" * 1_000_000)
        process.stdin.close()
        process.stdout.read(10)
        process.stdout.close()

    assert process.returncode == BROKEN_PIPE


def test_nobody_there_is_3(run: Run) -> None:
    """A script can tell a refusal from an absence."""
    code, out, err = run("call", "hello", "--target", "unix:/nowhere/penstock.sock")

    assert (code, out) == (3, "")
    assert err.startswith("penstock: UNREACHABLE: ")
    assert "request" not in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments", [["agents"], ["models"], ["models", "--json"], ["usage"], ["cache", "purge"]], ids=" ".join
)
def test_who_looks_after_a_daemon_reaches_one_that_does_not_serve(
    run: Run, daemon: FakeDaemon, arguments: list[str]
) -> None:
    """As its ledger fails, say: that is when it has to be looked at."""
    daemon.serving(is_serving=False)

    code, out, err = run(*arguments)

    assert (code, err) == (0, "")
    assert out


@pytest.mark.parametrize("options", [[], ["--stream"], ["--stream", "--json"]])
def test_who_asks_an_agent_heeds_that_a_daemon_does_not_serve(run: Run, daemon: FakeDaemon, options: list[str]) -> None:
    """Another replica may."""
    daemon.serving(is_serving=False)

    code, out, err = run("call", "hello", *options)

    assert (code, out, daemon.requests) == (3, "", [])
    assert "no replica is serving" in err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["call"],
        ["call", "hello", "--timeout", "soon"],
        ["call", "hello", "--timeout", "0s"],
        ["call", "hello", "--label", "team"],
        ["call", "hello", "--cache", "never"],
        ["usages"],
        ["usage", "--by", "day"],
        ["usage", "--since", "yesterday"],
    ],
)
def test_a_usage_error_is_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """With what is wrong on standard error."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)

    assert caught.value.code == 2
    assert "usage: penstock" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--target", "http://127.0.0.1:50051"], "is a URL"),
        (["--target", "127.0.0.1:85537"], "a PORT is 1 to 65535"),
        (["--ca", "/nowhere/ca.pem"], "/nowhere/ca.pem"),
        (["--ca", ""], "Is a directory"),
        (["--tls", "--cert", "/nowhere/a.pem"], "cert and key go together: give both"),
        (["--tls", "--key", "/nowhere/a.key"], "cert and key go together: give both"),
        (["--cert", "/nowhere/a.pem", "--key", "/nowhere/a.key"], "needs TLS: add --tls, or --ca FILE"),
        (["--tls", "--cert", "/nowhere/a.pem", "--key", "/nowhere/a.key"], "/nowhere/a.key"),
    ],
)
def test_a_target_or_file_that_cannot_be_used_is_2(run: Run, arguments: list[str], said: str) -> None:
    """One line, no traceback."""
    code, out, err = run("call", "hello", *arguments)

    assert (code, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1


def test_a_terminal_sees_what_the_answer_took(daemon: FakeDaemon) -> None:
    """Dim, after the answer; NO_COLOR leaves the words."""
    arguments = ("call", "hello", "--target", daemon.target)

    assert "\x1b[2mfast · 0 in + 0 out" in on_terminal(*arguments)
    assert "\nfast · 0 in + 0 out" in on_terminal(*arguments, NO_COLOR="1")


def test_an_answer_cannot_steer_the_terminal(run: Run, daemon: FakeDaemon) -> None:
    """Escape sequences lose their escape on a terminal; a pipe gets every byte."""

    def behave(request: Ask, context: grpc.ServicerContext) -> Iterator[str]:
        yield "a\x1b]0;title\x07b\tc\n"

    daemon.behave = behave

    assert "a]0;titleb\tc" in on_terminal("call", "hello", "--target", daemon.target)
    assert run("call", "hello")[1] == "a\x1b]0;title\x07b\tc\n"


def test_a_watch_clears_the_terminal(daemon: FakeDaemon) -> None:
    """The table is drawn where the last one stood."""
    leader, follower = os.openpty()
    arguments = ["models", "--watch", "--target", daemon.target]
    with subprocess.Popen([*PENSTOCK, *arguments], stdout=follower, stderr=follower) as process:
        written = b""
        while not written.endswith(b"\x1b[J"):
            written += os.read(leader, 65536)
        process.send_signal(signal.SIGINT)
    os.close(leader)
    os.close(follower)

    assert b"\x1b[H" in written


def test_ctrl_c_ends_a_call_with_130(daemon: FakeDaemon) -> None:
    """What was streamed stays, and the daemon learns of the end."""

    def behave(request: Ask, context: grpc.ServicerContext) -> Iterator[str]:
        yield "Once upon"
        assert daemon.ended.wait(20)

    daemon.behave = behave
    command = [*PENSTOCK, "call", "hello", "--stream", "--target", daemon.target]

    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first = process.stdout.read(9)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)

    assert (process.returncode, first, err) == (130, "Once upon", "")
    assert daemon.ended.wait(5)


def test_a_reader_that_leaves_is_no_error(daemon: FakeDaemon) -> None:
    """`penstock call … | head -1` says nothing."""
    reading, writing = os.pipe()
    os.close(reading)

    ran = subprocess.run(
        [*PENSTOCK, "call", "hello", "--target", daemon.target],
        stdout=writing,
        stderr=subprocess.PIPE,
        check=False,
        timeout=30,
    )
    os.close(writing)

    assert (ran.returncode, ran.stderr) == (141, b"")


def test_a_full_disk_is_one_line_and_2(daemon: FakeDaemon) -> None:
    """What Python could not write at the end is not tried, and told, once more."""
    command = [*PENSTOCK, "agents", "--target", daemon.target]
    environ = without("PYTHONUNBUFFERED")

    with Path("/dev/full").open("w") as full:
        ran = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, text=True, env=environ, check=False, timeout=30
        )

    assert (ran.returncode, ran.stderr) == (2, "penstock: [Errno 28] No space left on device\n")


def test_what_grpc_logs_is_for_those_who_ask_for_it(daemon: FakeDaemon) -> None:
    """A daemon without TLS is one line of ours, and with GRPC_VERBOSITY one of gRPC's before it."""
    command = [*PENSTOCK, "call", "hello", "--tls", "--target", daemon.target]
    plain = without("GRPC_VERBOSITY")

    quiet, talkative = (
        subprocess.run(command, capture_output=True, text=True, env=environ, check=False, timeout=30)
        for environ in (plain, plain | {"GRPC_VERBOSITY": "INFO"})
    )

    assert (quiet.returncode, quiet.stderr.count("\n")) == (3, 1)
    assert quiet.stderr.startswith("penstock: UNREACHABLE: ")
    assert "ssl_transport_security" in talkative.stderr
    assert talkative.stderr.splitlines()[-1].startswith("penstock: UNREACHABLE: ")


def test_the_installed_command_is_this_one() -> None:
    """The entry point exists beside the interpreter."""
    ran = subprocess.run(
        [Path(sys.executable).with_name("penstock"), "--version"], capture_output=True, text=True, check=True
    )

    assert ran.stdout == f"penstock {penstock.__version__}\n"


@pytest.mark.parametrize(
    ("closed", "out"), [(">&-", b""), ("<&-", b"hello \n"), ("2>&-", b"hello \n"), ("<&- >&- 2>&-", b"")]
)
def test_a_stream_that_the_shell_closed_leads_nowhere(daemon: FakeDaemon, closed: str, out: bytes) -> None:
    """What goes there is lost without a word, and nothing of ours takes its place."""
    command = [*PENSTOCK, "call", "hello", "--target", daemon.target]

    ran = subprocess.run(["sh", "-c", f'"$@" {closed}', "sh", *command], capture_output=True, check=False, timeout=30)

    assert (ran.returncode, ran.stdout, ran.stderr) == (0, out, b"")


def test_a_complaint_goes_to_standard_error_or_nowhere() -> None:
    """Not among the answers."""
    command = [*PENSTOCK, "call", "hello", "--target", "unix:/nowhere/penstock.sock"]

    ran = subprocess.run(["sh", "-c", '"$@" 2>&-', "sh", *command], capture_output=True, check=False, timeout=30)

    assert (ran.returncode, ran.stdout) == (3, b"")
