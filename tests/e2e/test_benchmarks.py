"""The benchmarks run, whatever they show."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def measured(*command: str) -> str:
    """What a measurement shows."""
    run = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def test_a_short_measurement_compares_the_daemon_with_the_relay() -> None:
    """Every process that a measurement starts comes up, the daemon without a ledger too."""
    assert "unary, a kept answer, 16 at once" in measured("benchmarks", "--only", "hit", "--quick")


def test_each_layer_is_measured_with_everything_on() -> None:
    """Under one call after the other that goes well."""
    table = measured("benchmarks.interceptors", "--quick")

    assert all(f"\n{layer} " in table for layer in ("auth", "rate_limit", "meter", "provider"))
