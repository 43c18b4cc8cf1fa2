"""Who we say we are, and how long we wait."""

import pytest

from fakes.daemon import FakeDaemon
from penstock import SyncAgentClient
from penstock.connection import DEFAULT_TARGET, LONGEST_TIMEOUT, Connection
from penstock.v1.agent_service_pb2 import ListAgentsRequest


def connection(**changes: object) -> Connection:
    """Return a connection to nowhere in particular."""
    arguments: dict[str, object] = {"target": None, "api_key": None, "timeout": 30.0, "tls": False} | changes
    return Connection(arguments.pop("target"), **arguments)  # type: ignore[arg-type]


def test_the_environment_says_where_and_who(daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch) -> None:
    """PENSTOCK_TARGET and PENSTOCK_API_KEY stand in for arguments that are not given."""
    monkeypatch.setenv("PENSTOCK_TARGET", daemon.target)
    monkeypatch.setenv("PENSTOCK_API_KEY", " pk_env\n")

    with SyncAgentClient() as client:
        client.process("hello")

    assert daemon.metadata["authorization"] == "Bearer pk_env"


def test_arguments_win_over_the_environment(daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty key is no key, whatever the environment holds."""
    monkeypatch.setenv("PENSTOCK_TARGET", "unix:/nowhere")
    monkeypatch.setenv("PENSTOCK_API_KEY", "pk_env")

    with SyncAgentClient(daemon.target, api_key="") as client:
        client.process("hello")

    assert "authorization" not in daemon.metadata


def test_without_a_word_it_is_the_local_daemon(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty variable counts as unset."""
    monkeypatch.setenv("PENSTOCK_TARGET", "")

    assert connection().way.address == DEFAULT_TARGET


def test_the_request_id_travels_in_message_and_metadata(daemon: FakeDaemon) -> None:
    """Proxies see the same name as the daemon."""
    with SyncAgentClient(daemon.target) as client:
        client.process("hello", request_id="r-1")

    assert daemon.requests[0].request_id == "r-1"
    assert daemon.metadata["x-request-id"] == "r-1"


def test_a_request_id_that_metadata_cannot_carry_is_left_to_the_server(daemon: FakeDaemon) -> None:
    """The call is made, so that the refusal is the server's own."""
    with SyncAgentClient(daemon.target) as client:
        client.process("hello", request_id="grüß\n")

    assert daemon.requests[0].request_id == "grüß\n"
    assert "x-request-id" not in daemon.metadata


def test_a_call_without_a_name_gets_one() -> None:
    """Every error can say which request it was."""
    call = connection().call(ListAgentsRequest(), None)

    assert ("x-request-id", call.request_id) in call.metadata


@pytest.mark.parametrize("timeout", [0, -1, float("inf"), float("nan")])
def test_there_is_no_call_without_a_deadline(timeout: float) -> None:
    """A timeout is positive and finite, for the client and for one call."""
    with pytest.raises(ValueError, match="timeout"):
        connection(timeout=timeout)
    with pytest.raises(ValueError, match="timeout"):
        connection().call(ListAgentsRequest(), timeout)


def test_a_timeout_of_another_type_is_a_type_error() -> None:
    """It is named."""
    with pytest.raises(TypeError, match="timeout: must be a number of seconds"):
        connection().call(ListAgentsRequest(), "5s")  # type: ignore[arg-type]


def test_a_key_that_no_header_can_carry_is_refused_unseen() -> None:
    """The message does not repeat the key."""
    with pytest.raises(ValueError, match="API key") as caught:
        connection(api_key="pk_\nsecret")

    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("timeout", [1e8, 9e9, 1e12, 1e300])
def test_a_timeout_that_grpc_cannot_say_is_the_longest_it_can(daemon: FakeDaemon, timeout: float) -> None:
    """The call does not end as one whose deadline has passed."""
    with SyncAgentClient(daemon.target) as client:
        client.process("hello", timeout=timeout)

    assert LONGEST_TIMEOUT - 60 < daemon.seconds_left <= LONGEST_TIMEOUT + 1


@pytest.mark.parametrize("method", ["process", "stream", "get_usage"])
def test_an_unknown_argument_is_named_beside_those_there_are(daemon: FakeDaemon, method: str) -> None:
    """And no function that the caller never called."""
    with (
        SyncAgentClient(daemon.target) as client,
        pytest.raises(TypeError, match=r"there is no argument 'agnt'; beside timeout there are .*agent") as caught,
    ):
        getattr(client, method)(*([] if method == "get_usage" else ["hello"]), agnt="x")

    assert "build" not in str(caught.value)
