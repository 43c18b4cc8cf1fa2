"""`penstock health` exits as grpc-health-probe does."""

import json
from collections.abc import Callable

from fakes.daemon import FakeDaemon

Run = Callable[..., tuple[int, str, str]]


def test_a_serving_daemon_is_0(run: Run) -> None:
    """The daemon as a whole, or one service of it."""
    assert run("health") == (0, "SERVING\n", "")
    assert run("health", "penstock.v1.AgentService") == (0, "SERVING\n", "")


def test_a_daemon_that_does_not_serve_is_4(run: Run, daemon: FakeDaemon) -> None:
    """It is reached and asked all the same."""
    daemon.serving(is_serving=False)

    assert run("health") == (4, "NOT_SERVING\n", "")


def test_an_unknown_service_is_3(run: Run) -> None:
    """The check itself failed, and it is said what could have been asked."""
    code, out, err = run("health", "nope")

    assert (code, out) == (3, "")
    assert err == "penstock: NOT_FOUND: there is no service 'nope'; try liveness, or model/NAME\n"


def test_nobody_there_is_2(run: Run) -> None:
    """There was no daemon to ask."""
    code, out, err = run("health", "--target", "unix:/nowhere/penstock.sock")

    assert (code, out) == (2, "")
    assert err.startswith("penstock: UNREACHABLE: ")


def test_json_says_which_service(run: Run) -> None:
    """One object, with the status as the protocol names it."""
    assert json.loads(run("health", "--json")[1]) == {"service": "", "status": "SERVING"}
