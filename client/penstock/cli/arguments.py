"""What may be typed after `penstock`."""

import argparse
from collections.abc import Callable, Sequence

import penstock
from penstock.cli import agents, cache, call, durations, health, models, moments, top, usage
from penstock.connection import DEFAULT_TIMEOUT

_AddParser = Callable[..., argparse.ArgumentParser]
_Run = Callable[[argparse.Namespace], int]

_EPILOG = """\
environment: PENSTOCK_TARGET and PENSTOCK_API_KEY stand for --target and --api-key; NO_COLOR turns colours off,
  GRPC_VERBOSITY shows what gRPC itself logs.
exit codes: 0 done, 1 refused, 2 usage, 3 unreachable, 130 interrupted.
"""

_TOP_EPILOG = "environment: PENSTOCK_ADMIN stands for --admin, PENSTOCK_ADMIN_TOKEN is the port's token."
_HEALTH_EPILOG = "exit codes: 0 serving, 2 unreachable or usage, 3 the check failed, 4 not serving."


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return what was typed; its `run` is the command's function. A usage error raises SystemExit(2)."""
    parser = argparse.ArgumentParser(
        prog="penstock",
        description="Ask the agents of a Penstock daemon.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"penstock {penstock.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_call(commands.add_parser)
    _add(commands.add_parser, "agents", agents.run, "list the agents")
    _add_models(commands.add_parser)
    _add_usage(commands.add_parser)
    health_parser = _add(
        commands.add_parser, "health", health.run, "ask whether the daemon, or one SERVICE of it, is serving"
    )
    health_parser.epilog = _HEALTH_EPILOG
    health_parser.add_argument("service", nargs="?", default="", metavar="SERVICE", help="such as model/NAME")
    _add_cache(commands.add_parser)
    _add_top(commands.add_parser)
    return parser.parse_args(argv)


def _add_models(add_parser: _AddParser) -> None:
    parser = _add(add_parser, "models", models.run, "show the pool of models, or steer one of them")
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--watch", action="store_true", help="show it again every second")
    chosen.add_argument("--disable", metavar="NAME", help="take this model out of every route; for operators")
    chosen.add_argument("--enable", metavar="NAME", help="let this model take calls, its circuit closed; for operators")
    chosen.add_argument("--force-open", metavar="NAME", help="open its circuit as if it had failed; for operators")


def _add_cache(add_parser: _AddParser) -> None:
    parser = add_parser("cache", help="steer the cache of answers", description="Steer the cache of answers.")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    purge = _add(commands.add_parser, "purge", cache.purge, "forget stored answers; for operators")
    purge.add_argument("--tenant", default="", help="only this tenant's")
    purge.add_argument("--agent", default="", help="only this agent's, such as support or model/NAME")


def _add_top(add_parser: _AddParser) -> None:
    summary = "show the daemon live: what is wrong, its pool, traffic, limits and spend"
    parser = add_parser("top", help=summary, description=f"{summary.capitalize()}.", epilog=_TOP_EPILOG)
    parser.set_defaults(run=top.run)
    parser.add_argument("--admin", metavar="URL", help="the daemon's admin port (default: http://127.0.0.1:9464)")
    parser.add_argument("--once", action="store_true", help="print it once and exit")
    parser.add_argument("--interval", type=_timeout, default=2.0, help="time between two looks, such as 500ms (2s)")
    parser.add_argument("--timeout", type=_timeout, default=5.0, help="such as 500ms, 10s or 2m")
    parser.add_argument("--json", action="store_true", help="print the snapshot as JSON, one object a line")


def _add_call(add_parser: _AddParser) -> None:
    parser = _add(add_parser, "call", call.run, "ask an agent")
    parser.add_argument("text", help="what to ask; - reads it from standard input")
    parser.add_argument("--stream", action="store_true", help="print the answer as it is written")
    parser.add_argument("--agent", default="", help="who answers (default: the daemon's default agent)")
    parser.add_argument("--user", default="", help="the end user, for limits and cost")
    parser.add_argument("--max-output-tokens", type=int, metavar="N", help="the most tokens of output")
    parser.add_argument("--temperature", type=float, metavar="T", help="sampling temperature, 0 to 2")
    parser.add_argument("--cache", choices=["bypass", "refresh", "off"], help="keep away from stored answers")
    parser.add_argument(
        "--label", type=_label, action="append", default=[], metavar="K=V", dest="labels", help="for cost attribution"
    )


def _add_usage(add_parser: _AddParser) -> None:
    parser = _add(add_parser, "usage", usage.run, "show what was used, what it cost, and the budgets")
    parser.add_argument("--by", choices=usage.BY, default=usage.BY[0], help="what to break it down by (agent)")
    parser.add_argument(
        "--since", type=moments.parse, metavar="WHEN", help="such as 7d or 2026-11-01, UTC (the start of this month)"
    )
    parser.add_argument("--until", type=moments.parse, metavar="WHEN", help="up to and without this moment (now)")
    parser.add_argument("--tenant", default="", help="for operators; * is all of them (your own)")
    parser.add_argument("--user", default="", help="only this end user")
    parser.add_argument("--agent", default="", help="only this agent")
    parser.add_argument("--model", default="", help="only this model of the pool")
    parser.add_argument("--csv", action="store_true", help="print CSV, money in billionths of a US dollar")


def _add(add_parser: _AddParser, name: str, run: _Run, summary: str) -> argparse.ArgumentParser:
    parser = add_parser(name, help=summary, description=f"{summary.capitalize()}.")
    parser.set_defaults(run=run)
    parser.add_argument("--json", action="store_true", help="print JSON, one object a line")
    parser.add_argument("--target", help="HOST:PORT or unix:PATH (default: 127.0.0.1:50051)")
    parser.add_argument("--api-key", metavar="KEY", help="better given as PENSTOCK_API_KEY, which others cannot list")
    parser.add_argument("--timeout", type=_timeout, default=DEFAULT_TIMEOUT, help="such as 500ms, 10s or 2m")
    parser.add_argument("--tls", action="store_true", help="trust the usual authorities")
    parser.add_argument("--ca", metavar="FILE", help="TLS; trust this authority (PEM)")
    parser.add_argument("--cert", metavar="FILE", help="our own certificate (PEM), for a daemon that wants one")
    parser.add_argument("--key", metavar="FILE", help="the key of that certificate (PEM)")
    parser.add_argument("--server-name", metavar="HOST", help="whom the daemon's certificate names (the target's host)")
    return parser


def _timeout(text: str) -> float:
    try:
        seconds = durations.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    if not seconds:
        raise argparse.ArgumentTypeError("it must be more than nothing")
    return seconds


def _label(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return key, value
