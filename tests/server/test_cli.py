"""The command says what is wrong in lines, and what it came to in its exit code."""

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import penstock
from penstockd.cli import main

GOOD = "models: {fast: {provider: echo}}\nagents: {support: {route: {models: [fast]}}}\n"
BAD = "models: {fast: {provider: ehco}}\nagents: {support: {route: {models: [fsat]}}}\nserver: {lisen: x}\n"


@pytest.fixture(autouse=True)
def _own_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Leave the process as it was: the command makes it its own."""
    monkeypatch.setenv("GRPC_VERBOSITY", "NONE")
    monkeypatch.delenv("PENSTOCK_CONFIG", raising=False)
    monkeypatch.setattr(sys, "path", sys.path[:])
    interrupt = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, interrupt)


def file(tmp_path: Path, text: str) -> str:
    """The path of a configuration file with `text`."""
    path = tmp_path / "penstock.yaml"
    path.write_text(text)
    return str(path)


def test_a_valid_configuration_is_said_to_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 0."""
    assert main(["check", "--config", file(tmp_path, GOOD)]) == 0

    assert capsys.readouterr().out == "the configuration is valid\n"


def test_every_mistake_is_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On stderr, with its path; exit 2."""
    assert main(["check", "--config", file(tmp_path, BAD)]) == 2

    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert all(line.startswith("penstockd: ") for line in lines)
    assert [line.split(" ")[1].rstrip(":") for line in lines if "penstockd" in line]
    assert any("models.fast.provider" in line for line in lines)
    assert any("server.lisen" in line for line in lines)
    assert captured.out == ""


def test_the_effective_configuration_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With its secrets masked."""
    secret = GOOD.replace("{provider: echo}", "{provider: openai, model: m, api_key: hunter2}")

    assert main(["check", "--print", "--config", file(tmp_path, secret)]) == 0

    out = capsys.readouterr().out
    assert "max_in_flight" in out
    assert "hunter2" not in out


def test_agents_are_looked_for_beside_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where the environment names it."""
    (tmp_path / "test_cli_agents.py").write_text("async def run(request, context): return ''\n")
    text = GOOD.replace("route:", "python: 'test_cli_agents:run', route:")
    monkeypatch.setenv("PENSTOCK_CONFIG", file(tmp_path, text))

    assert main(["check"]) == 0, capsys.readouterr().err


def test_agents_are_imported_where_the_daemon_imports_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Within a running loop: what wants one is taken, and what wants to run its own is refused."""
    (tmp_path / "test_cli_within.py").write_text(
        "import asyncio\nasyncio.get_running_loop()\nasync def run(request, context): return ''\n"
    )
    (tmp_path / "test_cli_outside.py").write_text(
        "import asyncio\nloop = asyncio.new_event_loop()\n"
        "try:\n    loop.run_until_complete(loop.shutdown_asyncgens())\nfinally:\n    loop.close()\n"
    )
    within, outside = (
        GOOD.replace("route:", f"python: 'test_cli_{name}:run', route:") for name in ("within", "outside")
    )

    assert main(["check", "--config", file(tmp_path, within)]) == 0, capsys.readouterr().err
    with pytest.warns(RuntimeWarning, match="was never awaited"):
        assert main(["check", "--config", file(tmp_path, outside)]) == 2

    assert "Cannot run the event loop while another loop is running" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        ("KeyboardInterrupt", "KeyboardInterrupt"),
        ("__import__('asyncio').CancelledError('odd')", "CancelledError: odd"),
        ("type('Panic', (BaseException,), {})('two\\nlines')", "Panic: two lines"),
        ("type('Mute', (BaseException,), {'__str__': lambda _: 1 / 0})", "Mute: <exception str() failed>"),
    ],
)
def test_whatever_a_module_raises_is_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], raised: str, said: str
) -> None:
    """Exit 2, as for any other mistake."""
    name = f"test_cli_{said.partition(':')[0].lower()}"
    (tmp_path / f"{name}.py").write_text(f"raise {raised}\n")

    assert main(["check", "--config", file(tmp_path, GOOD.replace("route:", f"python: '{name}:run', route:"))]) == 2

    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"penstockd: agents.support.python: cannot import '{name}:run': ")
    assert line.endswith(said)


def test_warnings_do_not_fail_a_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """They are said on stderr: here, that nothing is configured but the built-in model."""
    assert main(["check", "--config", file(tmp_path, "{}")]) == 0

    assert "warning: " in capsys.readouterr().err


def test_a_key_under_a_weak_pepper_is_made_with_a_warning(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On stderr, beside what people read; what machines take stays as it is."""
    monkeypatch.setenv("PENSTOCK_KEY_PEPPER", "short")

    assert main(["keys", "new"]) == 0

    captured = capsys.readouterr()
    assert captured.err.startswith("warning: PENSTOCK_KEY_PEPPER: has fewer than 16 characters ")
    assert len(captured.out.splitlines()) == 2


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    """Without reading any configuration."""
    with pytest.raises(SystemExit) as raised:
        main(["--version"])

    assert raised.value.code == 0
    assert capsys.readouterr().out == f"penstockd {penstock.__version__}\n"


@pytest.mark.parametrize("argv", [[], ["nonsense"], ["check", "--nonsense"]])
def test_a_wrong_usage_is_exit_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """With what would have been right."""
    with pytest.raises(SystemExit) as raised:
        main(argv)

    assert raised.value.code == 2
    assert "usage: penstockd" in capsys.readouterr().err


def test_a_plain_install_says_what_the_daemon_needs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line instead of a traceback."""
    monkeypatch.setitem(sys.modules, "penstockd.config", None)
    monkeypatch.delattr("penstockd.config", raising=False)

    assert main(["check"]) == 2

    assert "pip install 'penstock[server]'" in capsys.readouterr().err
