"""Both commands, run as modules."""

import sys
from pathlib import Path

import pytest

from peers.live_daemon import PROGRAMS, run


@pytest.mark.parametrize("name", ["penstock", "penstockd"])
async def test_a_package_runs_as_its_command(name: str) -> None:
    """For an interpreter whose programs are on no path."""
    as_module = await run(Path(sys.executable), "-m", name, "--version")
    wrong = await run(Path(sys.executable), "-m", name, "--nonsense")

    assert as_module == await run(PROGRAMS / name, "--version")
    assert (as_module[0], wrong[0]) == (0, 2)
