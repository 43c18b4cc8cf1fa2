"""A real PostgreSQL of the tests' own, on a temporary directory and a unix socket, or on TCP."""

import os
import pwd
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep

import psycopg

from peers import peer

PATIENCE = 30.0


class Postgres:
    """A server that a test may stop, kill, freeze and start again; its databases outlive all that."""

    def __init__(self, programs: Path, directory: Path, user: str | None, *, is_on_tcp: bool) -> None:
        self._programs = programs
        self._address, self._port = ("127.0.0.1", _free_port()) if is_on_tcp else ("", 5432)
        self._directory = directory
        self._user = user
        self._numbers = count(1)
        self._process: subprocess.Popen[bytes] | None = None
        self._run("initdb", "-D", "data", "-U", "penstock", "-A", "trust", "--no-sync", "-E", "UTF8", "--no-locale")

    def url(self, database: str) -> str:
        """Where a database is."""
        return f"postgresql://penstock@/{database}?host={self._address or self._directory}&port={self._port}"

    def database(self, encoding: str = "UTF8") -> str:
        """Make a new database and return its URL."""
        name = f"ledger{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name} ENCODING '{encoding}' TEMPLATE template0")
        return self.url(name)

    def execute(self, statement: str, url: str | None = None) -> None:
        """Do what only an administrator may, in the database at `url` if it matters where."""
        with psycopg.connect(url or self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement.encode())

    def cut_sessions(self) -> None:
        """End the sessions of every daemon, as an administrator or a firewall may."""
        self.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'penstockd'")

    def program(self, name: str) -> Path:
        """One of the programs that came with the server."""
        return self._programs / name

    def start(self) -> None:
        """Start, and return when it answers."""
        address = ("-k", str(self._directory), "-c", f"listen_addresses={self._address}", "-p", str(self._port))
        options = (*address, "-c", "fsync=off", "-c", "max_connections=50")
        ends_at = monotonic() + PATIENCE
        self._process = self._begin(options)
        while not self._answers():
            assert monotonic() < ends_at, f"PostgreSQL does not start: {(self._directory / 'log').read_text()}"
            sleep(0.05)
            if self._process.poll() is not None:  # as it may where the one before has only just ended
                self._process = self._begin(options)

    def _begin(self, options: Sequence[str]) -> "subprocess.Popen[bytes]":
        with (self._directory / "log").open("ab") as log:
            return subprocess.Popen(
                [self._programs / "postgres", "-D", "data", *options],
                cwd=self._directory,
                user=self._user,
                stdout=log,
                stderr=log,
            )

    def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """Stop: SIGINT ends every session, SIGQUIT is as if the plug were pulled."""
        assert self._process is not None
        self._process.send_signal(number)
        self._process.wait(PATIENCE)

    def freeze(self) -> None:
        """Let every process of it stand still, with connections open."""
        self._signal_all(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let them go on."""
        self._signal_all(signal.SIGCONT)

    def _signal_all(self, number: signal.Signals) -> None:
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        for pid in [self._process.pid, *map(int, children)]:
            os.kill(pid, number)

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url("postgres"), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [self._programs / program, *arguments],
            cwd=self._directory,
            user=self._user,
            check=True,
            capture_output=True,
        )


@contextmanager
def postgres_server(*, is_on_tcp: bool = False) -> Iterator[Postgres]:
    """Run a server for the length of the block; where none is installed, skip on a laptop and fail in CI."""
    programs = peer("initdb").resolve().parent
    with TemporaryDirectory(prefix="pg") as name:
        user = None
        if os.getuid() == 0:  # which PostgreSQL refuses to run as
            user = "postgres" if "postgres" in {entry.pw_name for entry in pwd.getpwall()} else "nobody"
            os.chown(name, pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)
        server = Postgres(programs, Path(name), user, is_on_tcp=is_on_tcp)
        server.start()
        try:
            yield server
        finally:
            server.stop()


def _free_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])
