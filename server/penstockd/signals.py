"""What the system asks of the daemon, by signals."""

import asyncio
import signal
from collections.abc import Callable

_STOPS = (signal.SIGTERM, signal.SIGINT)


class Signals:
    """SIGHUP asks for a reload, and SIGTERM and SIGINT for the end, a second one for a quick one."""

    def __init__(self) -> None:
        """Take SIGHUP from now on: what it is about may be read before anything can be made of it."""
        self._loop = asyncio.get_running_loop()
        self._stopping: list[Callable[[], object]] = []
        self._stops = 0
        self.reload_asked = asyncio.Event()
        self._loop.add_signal_handler(signal.SIGHUP, self.reload_asked.set)

    def take_stops(self) -> None:
        """Take SIGTERM and SIGINT from now on; before, they end the process as they end any other."""
        for number in _STOPS:
            self._loop.add_signal_handler(number, self._stop)

    def on_stop(self, stop: Callable[[], object]) -> None:
        """Have `stop` called at each of them, and now for those that came."""
        self._stopping.append(stop)
        for _ in range(self._stops):
            stop()

    def ignore(self) -> None:
        """Do nothing more at any of them."""
        for number in (*_STOPS, signal.SIGHUP):
            self._loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)

    def _stop(self) -> None:
        self._stops += 1
        for stop in self._stopping:
            stop()
