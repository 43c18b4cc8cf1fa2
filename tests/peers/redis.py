"""A real Redis of the tests' own, on a unix socket in a temporary directory."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep

from redis import Redis
from redis.exceptions import ConnectionError as Unreachable

from peers import peer

PATIENCE = 20.0


class RedisServer:
    """A server that a test may freeze, stop, and look into."""

    def __init__(self, program: Path, directory: Path) -> None:
        path = directory / "redis.sock"
        self.url = f"unix://{path}"
        self.client = Redis(unix_socket_path=str(path))
        options = {"port": "0", "unixsocket": str(path), "save": "", "dir": str(directory)}
        command = [str(program), *(word for name, value in options.items() for word in (f"--{name}", value))]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        ends_at = monotonic() + PATIENCE
        while not self._answers():
            assert self._process.poll() is None, "Redis does not start"
            assert monotonic() < ends_at, "Redis does not answer"
            sleep(0.02)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let it answer nobody."""
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """End it."""
        self.client.close()
        self._process.kill()
        self._process.wait(PATIENCE)

    def _answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except Unreachable:
            return False


@contextmanager
def redis_server() -> Iterator[RedisServer]:
    """Serve for the length of the block."""
    with TemporaryDirectory() as directory:
        server = RedisServer(peer("redis-server"), Path(directory))
        try:
            yield server
        finally:
            server.stop()
