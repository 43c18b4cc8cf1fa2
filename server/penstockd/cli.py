"""The `penstockd` command: serve, check the configuration, make keys, say the version."""

import argparse
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penstockd.config import Settings

CONFIGURATION_WRONG = 2
CANNOT_START = 1
CANNOT_WRITE = 1
INTERRUPTED = 130
"""As shells say it: 128 and the number of SIGINT."""
STARTED_AT = time.monotonic()
LONGEST_END = 5.0
"""Seconds that what is left may take to end, once the daemon has stopped: code of one's own may never."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code.

    0 clean, 1 cannot start or cannot write what was asked for, 2 the configuration or the usage is wrong. Ctrl-C raises
    nothing, so that KeyboardInterrupt is always the doing of a module that is imported, and a mistake like any other.
    """
    _open_standard_streams()
    # gRPC's own log would say in four lines what we say in one; it reads this as it is imported.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    # Its newer listener hands each read to a thread of another pool, which costs a sixth more CPU a call.
    os.environ.setdefault("GRPC_EXPERIMENTS", "-event_engine_listener")
    arguments = _parser().parse_args(argv)
    if arguments.run is _serve:
        # It would end us while we import, and what it asks for comes with the start, which has yet to read the files.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        # There is nothing to drain yet. Without a handler the first process of a container would not even get them.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: os._exit(0))
    else:
        signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
    try:
        from penstockd import config  # noqa: PLC0415 - a plain install lacks what the daemon needs
    except ModuleNotFoundError as error:
        return _complain(f"the daemon needs {error.name}: pip install 'penstock[server]'")
    try:
        run: Callable[[argparse.Namespace], int] = arguments.run
        return run(arguments)
    except config.ConfigErrors as errors:
        return _complain(*map(str, errors.errors))
    except _CannotWrite as error:
        _complain(f"cannot write to standard output: {error}")
        return CANNOT_WRITE


class _CannotWrite(Exception):
    """Standard output takes nothing; says why."""


def _open_standard_streams() -> None:
    """Open what the process was started without: libuv aborts if it has to close a file with one of their numbers."""
    file = os.open(os.devnull, os.O_RDWR)
    while file <= 2:
        file = os.open(os.devnull, os.O_RDWR)
    os.close(file)
    sys.stderr = sys.stderr or os.fdopen(2, "w", encoding="utf-8", closefd=False)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="penstockd", description="A gRPC daemon that puts AI agents into production.")
    parser.add_argument("--version", action=_ShowVersion, nargs=0, help="show the program's version and exit")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    serve = commands.add_parser("serve", help="serve until SIGTERM; SIGHUP reloads the configuration")
    serve.add_argument("--listen", metavar="HOST:PORT", help="where calls are taken (127.0.0.1:50051; unix:PATH too)")
    serve.add_argument("--admin-listen", metavar="HOST:PORT", help="where operators look (127.0.0.1:9464)")
    serve.set_defaults(run=_serve)
    check = commands.add_parser("check", help="say every mistake of the configuration, exit 0 or 2")
    check.add_argument("--print", action="store_true", help="show the effective configuration, secrets masked")
    check.set_defaults(run=_check)
    keys = commands.add_parser("keys", help="make keys for callers")
    new = keys.add_subparsers(title="commands", required=True, metavar="COMMAND").add_parser(
        "new", help="print a new key, this once, and the line of the configuration that lets it in"
    )
    new.add_argument("--name", default="key", help="what the key is called in the configuration (key)")
    new.set_defaults(run=_new_key)
    for command in (serve, check):
        command.add_argument("--config", type=Path, metavar="FILE", help="the YAML file ($PENSTOCK_CONFIG)")
    return parser


class _ShowVersion(argparse.Action):
    """Says the version, which takes long to find out: whoever does not ask for it must not wait for it."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        """Print it and exit."""
        try:
            _write(f"penstockd {_version()}")
        except _CannotWrite as error:
            parser.exit(CANNOT_WRITE, f"penstockd: cannot write to standard output: {error}\n")
        parser.exit()


def _version() -> str:
    from penstock import __version__  # noqa: PLC0415 - imports gRPC

    return __version__


def _serve(arguments: argparse.Namespace) -> int:
    import asyncio  # noqa: PLC0415 - `--version` and `--help` answer at once

    import uvloop  # noqa: PLC0415

    from penstockd.ledger import CannotOpenLedger  # noqa: PLC0415
    from penstockd.listener import CannotListen  # noqa: PLC0415

    with _hidden("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT"):
        from penstockd.serve import serve  # noqa: PLC0415

    flags = {"server.listen": arguments.listen, "admin.listen": arguments.admin_listen}
    load = _loader(arguments.config, flags)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(load, environ=os.environ, version=_version(), started_at=STARTED_AT))
            _end_in_any_case()
    except (CannotListen, CannotOpenLedger) as error:
        _complain(str(error))
        return CANNOT_START
    return 0


@contextmanager
def _hidden(name: str) -> Iterator[None]:
    """Keep a variable from what is imported: OpenTelemetry raises over a bad one then, which nobody could warn of."""
    value = os.environ.pop(name, None)
    try:
        yield
    finally:
        if value is not None:
            os.environ[name] = value


def _end_in_any_case() -> None:
    """Leave behind what does not end: a task that swallows being cancelled, or a thread that waits."""

    def leave() -> None:
        from penstockd.logs.log import Log  # noqa: PLC0415

        Log("penstockd").warning(
            "left behind what does not end: a task or a thread of an agent or a provider, or a file that a reload reads"
        )
        flushing = threading.Thread(target=logging.shutdown, daemon=True)  # a handler may be what does not end
        flushing.start()
        flushing.join(timeout=1.0)
        os._exit(0)

    timer = threading.Timer(LONGEST_END, leave)
    timer.daemon = True
    timer.start()


def _check(arguments: argparse.Namespace) -> int:
    import asyncio  # noqa: PLC0415

    import uvloop  # noqa: PLC0415

    from penstockd.config import cautions, describe  # noqa: PLC0415

    with _hidden("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT"):
        from penstockd.app import check  # noqa: PLC0415

    settings = _loader(arguments.config, {})()

    async def build() -> None:
        """As the daemon does: a module may want a running loop as it is imported, or want there to be none."""
        check(settings)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(build())
    for warning in cautions(settings, time.time()):
        _say(f"warning: {warning}")
    _write(describe(settings) if arguments.print else "the configuration is valid")
    return 0


def _new_key(arguments: argparse.Namespace) -> int:
    from penstockd.config import new_key  # noqa: PLC0415

    new = new_key(arguments.name, os.environ)
    for warning in new.warnings:
        _say(f"warning: {warning}")
    _say("The key, shown this once, for its caller:")
    _write(new.key)
    _say("For the configuration, in the keys of its tenant:")
    _write(new.line)
    return 0


def _loader(path: Path | None, flags: dict[str, object]) -> "Callable[[], Settings]":
    """What loads the settings, now and at every SIGHUP; Python agents are looked for beside the file."""
    from penstockd.config import config_file, load  # noqa: PLC0415

    file = config_file(path, os.environ)
    sys.path.insert(0, str(file.parent.absolute() if file else Path.cwd()))
    return lambda: load(path=path, environ=os.environ, flags=flags)


def _complain(*lines: str) -> int:
    for line in lines:
        _say(f"penstockd: {line}")
    return CONFIGURATION_WRONG


def _write(text: str) -> None:
    """Print what was asked for, at once; raises _CannotWrite."""
    if sys.stdout is None:
        raise _CannotWrite("it is closed")
    try:
        print(text, flush=True)
    except OSError as error:
        # Python's own last flush must not stumble over what is left.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise _CannotWrite(error.strerror) from error


def _say(line: str) -> None:
    print(line, file=sys.stderr)
