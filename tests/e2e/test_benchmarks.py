"""The benchmarks run, whatever they show."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_short_measurement_compares_the_daemon_with_the_relay() -> None:
    """Every process that a measurement starts comes up, the daemon without a ledger too."""
    measured = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--only", "hit", "--quick"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert measured.returncode == 0, measured.stdout + measured.stderr
    assert "unary, a kept answer, 16 at once" in measured.stdout
