"""The example programs run as they are."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fakes.daemon import FakeDaemon

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("call.py", "How do I reset my password? \nfast: 0 tokens, 0 attempt(s)\n"),
        ("stream.py", "Tell me a story. \n0 tokens of output\n"),
        ("sync_call.py", "What is a penstock? \n"),
    ],
)
def test_an_example_prints_its_answer(daemon: FakeDaemon, name: str, said: str) -> None:
    """Against whatever PENSTOCK_TARGET names."""
    ran = subprocess.run(
        [sys.executable, EXAMPLES / name],
        env=os.environ | {"PENSTOCK_TARGET": daemon.target},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )

    assert (ran.returncode, ran.stdout, ran.stderr) == (0, said, "")
