"""`penstock agents` and `penstock models` show what there is."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from google.protobuf.duration_pb2 import Duration

from fakes.daemon import FakeDaemon, fake_daemon
from fakes.pool_daemon import OPERATOR, fake_pool
from penstock.v1.agent_service_pb2 import Agent
from penstock.v1.pool_service_pb2 import BreakerState, Model

Run = Callable[..., tuple[int, str, str]]

FAST = Model(
    name="fast",
    provider="openai",
    enabled=True,
    breaker_state=BreakerState.BREAKER_STATE_CLOSED,
    in_flight=3,
    max_in_flight=100,
    error_rate=0.02,
    time_to_first_token=Duration(nanos=420_000_000),
)
STRONG = Model(
    name="strong",
    provider="anthropic",
    enabled=True,
    breaker_state=BreakerState.BREAKER_STATE_HALF_OPEN,
    max_in_flight=10,
    error_rate=1,
    next_probe_in=Duration(seconds=4, nanos=200_000_000),
    cause="503",
)
COOLING = Model(
    name="busy",
    provider="openai",
    enabled=True,
    breaker_state=BreakerState.BREAKER_STATE_CLOSED,
    max_in_flight=9,
    next_probe_in=Duration(seconds=17, nanos=800_000_000),
)
OFF = Model(name="off", provider="echo", breaker_state=BreakerState.BREAKER_STATE_CLOSED, max_in_flight=1)


def test_agents_are_a_table(run: Run, daemon: FakeDaemon) -> None:
    """A star marks the default; a description stays in its line."""
    daemon.agents = [
        Agent(name="research", models=["strong"], description="Looks\nthings up."),
        Agent(name="support", models=["fast", "strong"], description="Answers.", streams=True, is_default=True),
    ]

    code, out, err = run("agents")

    assert (code, err) == (0, "")
    assert out == (
        "AGENT      MODELS        STREAMS  DESCRIPTION\n"
        "research   strong        no       Looks things up.\n"
        "support *  fast, strong  yes      Answers.\n"
    )


def test_models_are_a_table(run: Run, daemon: FakeDaemon) -> None:
    """State, load, errors, time to first token and the next probe; a dash where there is nothing to say.

    A circuit that is closed and yet lets none through is that of a model whose provider asked for patience.
    """
    daemon.models = [FAST, STRONG, COOLING, OFF]

    code, out, err = run("models")

    assert (code, err) == (0, "")
    assert out == (
        "MODEL   PROVIDER   STATE      IN FLIGHT  ERRORS  FIRST TOKEN  NEXT PROBE  CAUSE\n"
        "fast    openai     closed     3/100      2.0%    420 ms       -           -\n"
        "strong  anthropic  half-open  0/10       100%    -            4.20 s      503\n"
        "busy    openai     cooling    0/9        0%      -            17.8 s      rate_limited\n"
        "off     echo       disabled   0/1        0%      -            -           -\n"
    )


@pytest.mark.parametrize(
    ("option", "state"), [("--disable", "disabled"), ("--enable", "closed"), ("--force-open", "open")]
)
def test_operators_change_a_model(run: Run, option: str, state: str) -> None:
    """It is shown as it is then."""
    with fake_pool() as pool:
        code, out, err = run("models", option, "fast", "--target", pool.target, "--api-key", OPERATOR)

    assert (code, err) == (0, "")
    assert [line.split()[2] for line in out.splitlines()] == ["STATE", state]


def test_a_changed_model_is_one_line_of_json(run: Run) -> None:
    """The contract's own response."""
    with fake_pool() as pool:
        _, out, _ = run("models", "--disable", "fast", "--json", "--target", pool.target, "--api-key", OPERATOR)

    assert json.loads(out)["model"]["enabled"] is False
    assert out.count("\n") == 1


def test_a_model_that_nobody_named_is_not_taken_for_a_question(run: Run) -> None:
    """As from a variable that is empty."""
    with fake_pool() as pool:
        code, out, err = run("models", "--disable", "", "--target", pool.target, "--api-key", OPERATOR)

    assert (code, out) == (1, "")
    assert err.startswith("penstock: MODEL_NOT_FOUND: ")


def test_both_are_one_line_of_json(run: Run, daemon: FakeDaemon) -> None:
    """The contract's own responses."""
    daemon.agents, daemon.models = [Agent(name="support")], [FAST]

    agents, models = run("agents", "--json")[1], run("models", "--json")[1]

    assert json.loads(agents)["agents"][0]["name"] == "support"
    assert json.loads(models)["models"][0]["breaker_state"] == "BREAKER_STATE_CLOSED"
    assert (agents.count("\n"), models.count("\n")) == (1, 1)


def test_models_are_watched_until_interrupted(daemon: FakeDaemon) -> None:
    """The table comes again every second; Ctrl-C ends it with 130 and without a traceback."""
    daemon.models = [FAST]
    command = [sys.executable, "-c", "import sys, penstock.cli; sys.exit(penstock.cli.main())", "models", "--watch"]
    command += ["--target", daemon.target]

    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        for _ in range(2):
            assert daemon.asked.acquire(timeout=20)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)

    assert (process.returncode, err) == (130, "")
    assert out.count("MODEL ") in {1, 2}  # the second may not have been drawn


def test_a_watch_outlives_the_daemon(tmp_path: Path) -> None:
    """It says once that the daemon is gone, and shows the next one."""
    address = f"unix:{tmp_path}/penstock.sock"
    command = [sys.executable, "-c", "import sys, penstock.cli; sys.exit(penstock.cli.main())", "models", "--watch"]
    command += ["--target", address]

    with fake_daemon(address):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline()  # it has looked, and let go of its connection
    with process:
        assert process.stderr is not None
        said = process.stderr.readline()
        with fake_daemon(address) as daemon:
            assert daemon.asked.acquire(timeout=20)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=20)

    assert said.startswith("penstock: DISCONNECTED: UNREACHABLE: ")
    assert said.endswith("; what is above is older\n")
    assert (process.returncode, err) == (130, "")
