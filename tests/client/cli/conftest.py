"""What the command's tests share."""

from collections.abc import Callable
from typing import NamedTuple

import pytest

from fakes.daemon import FakeDaemon
from penstock.cli import main


class Ran(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str


Run = Callable[..., Ran]


@pytest.fixture
def run(daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command in this process, pointed at the fake daemon."""
    monkeypatch.setenv("PENSTOCK_TARGET", daemon.target)

    def run(*arguments: str) -> Ran:
        code = main(arguments)
        return Ran(code, *capsys.readouterr())

    return run
