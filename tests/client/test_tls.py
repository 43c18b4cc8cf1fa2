"""Connections that are encrypted, and prove who is at their ends."""

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from fakes.certificates import self_signed
from fakes.daemon import FakeDaemon, fake_daemon
from peers import peer
from penstock import TLS, AgentClient, SyncAgentClient, Unreachable
from penstock.cli import main


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """The certificate of localhost and its key."""
    return self_signed(peer("openssl"), tmp_path)


@pytest.fixture
def daemon(files: tuple[Path, Path]) -> Iterator[FakeDaemon]:
    """A daemon that wants a certificate of its callers too."""
    cert, key = (path.read_bytes() for path in files)
    credentials = grpc.ssl_server_credentials([(key, cert)], root_certificates=cert, require_client_auth=True)
    with fake_daemon(credentials=credentials) as running:
        yield running


async def test_both_ends_prove_themselves(daemon: FakeDaemon, files: tuple[Path, Path]) -> None:
    """The same files serve both clients."""
    cert, key = files
    tls = TLS(ca=cert, cert=cert, key=key)

    async with AgentClient(daemon.target, tls=tls) as client:
        assert (await client.process("hello")).output == "hello "
    with SyncAgentClient(daemon.target, tls=tls) as sync_client:
        assert sync_client.process("hello").output == "hello "


def test_a_daemon_of_an_unknown_authority_is_not_spoken_to(daemon: FakeDaemon) -> None:
    """`tls=True` trusts the usual authorities only."""
    with SyncAgentClient(daemon.target, tls=True) as client, pytest.raises(Unreachable):
        client.process("hello")


def test_the_command_takes_an_authority(files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    """`--ca` alone turns TLS on, and `--tls` beside it changes nothing."""
    cert, key = (path.read_bytes() for path in files)
    with fake_daemon(credentials=grpc.ssl_server_credentials([(key, cert)])) as daemon:
        code = main(["call", "hello", "--target", daemon.target, "--ca", str(files[0]), "--tls"])

    assert (code, capsys.readouterr().out) == (0, "hello \n")


@pytest.mark.parametrize("command", [["call", "hello"], ["health"]])
def test_the_command_shows_a_certificate(daemon: FakeDaemon, files: tuple[Path, Path], command: list[str]) -> None:
    """To a daemon that speaks to nobody without one."""
    cert, key = map(str, files)
    reached = [*command, "--target", daemon.target, "--ca", cert]

    assert main([*reached, "--cert", cert, "--key", key]) == 0
    assert main(reached) in {2, 3}
