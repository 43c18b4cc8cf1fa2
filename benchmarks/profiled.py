"""Runs `penstockd` under a profiler that counts CPU from SIGUSR1 on: `python -m benchmarks.profiled FILE serve …`."""

import cProfile
import signal
import sys
import time

from penstockd.cli import main


def run(file: str, arguments: list[str]) -> int:
    """Run the daemon to its end, and write to `file` what the profiler saw."""
    profiler = cProfile.Profile(time.thread_time)
    signal.signal(signal.SIGUSR1, lambda *_: profiler.enable())
    try:
        return main(arguments)
    finally:
        profiler.disable()
        profiler.dump_stats(file)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1], sys.argv[2:]))
