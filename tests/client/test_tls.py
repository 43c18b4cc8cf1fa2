"""Connections that are encrypted, and prove who is at their ends."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from time import monotonic

import grpc
import pytest

from fakes.certificates import Authority, self_signed
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


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Who vouches for daemons."""
    return Authority(peer("openssl"), tmp_path / "authority")


def daemon_named(authority: Authority, name: str, address: str = "127.0.0.1:0") -> AbstractContextManager[FakeDaemon]:
    """Run a daemon whose certificate names only that."""
    cert, key = (path.read_bytes() for path in authority.issue(name, f"DNS:{name}"))
    return fake_daemon(address, grpc.ssl_server_credentials([(key, cert)]))


async def test_a_server_name_stands_for_the_targets_host(authority: Authority) -> None:
    """A replica reached by its own address shows the certificate of them all."""
    tls = TLS(ca=authority.ca, server_name="agents.internal")

    with daemon_named(authority, "agents.internal") as daemon:
        async with AgentClient(daemon.target, tls=tls) as client:
            assert (await client.process("hello")).output == "hello "
        with SyncAgentClient(daemon.target, tls=tls) as sync_client:
            assert sync_client.process("hello").output == "hello "


def test_several_addresses_have_one_server_name(authority: Authority) -> None:
    """Each of them is asked."""
    tls = TLS(ca=authority.ca, server_name="agents.internal")

    with (
        daemon_named(authority, "agents.internal") as one,
        daemon_named(authority, "agents.internal") as other,
        SyncAgentClient(f"127.0.0.1:{one.port},127.0.0.1:{other.port}", tls=tls) as client,
    ):
        deadline = monotonic() + 20.0
        while not (one.requests and other.requests) and monotonic() < deadline:
            client.process("hello")
        assert one.requests
        assert other.requests


@pytest.mark.parametrize("target", ["10.0.0.1:1,10.0.0.2:1", "ipv6:[::1]:1,[::1]:2"])
@pytest.mark.parametrize("client", [AgentClient, SyncAgentClient])
def test_several_addresses_need_a_server_name(client: type[AgentClient | SyncAgentClient], target: str) -> None:
    """GRPC would look for the whole list in the certificate, and never find it."""
    with pytest.raises(ValueError, match=r"several addresses with TLS .*: give server_name"):
        client(target, tls=True)


def test_over_a_unix_socket_the_daemon_is_localhost(authority: Authority, tmp_path: Path) -> None:
    """Its path is in no certificate."""
    with (
        daemon_named(authority, "localhost", f"unix:{tmp_path}/s") as daemon,
        SyncAgentClient(daemon.target, tls=TLS(ca=authority.ca)) as client,
    ):
        assert client.process("hello").output == "hello "


def test_a_daemon_of_another_name_is_not_spoken_to(authority: Authority) -> None:
    """And the message says what to give."""
    with daemon_named(authority, "agents.internal") as daemon:
        for tls in (TLS(ca=authority.ca), TLS(ca=authority.ca, server_name="other.internal")):
            with (
                SyncAgentClient(f"127.0.0.1:{daemon.port}", tls=tls) as client,
                pytest.raises(Unreachable, match=r"the certificate names another host than .*: server_name says"),
            ):
                client.process("hello")


@pytest.mark.parametrize("name", ["", "agents.internal:50051", "a b", "::1"])
def test_a_server_name_is_a_host(name: str) -> None:
    """A port is no part of it."""
    with pytest.raises(ValueError, match="is no host"):
        TLS(server_name=name)


def test_the_command_takes_a_server_name(authority: Authority, capsys: pytest.CaptureFixture[str]) -> None:
    """Beside `--tls` or `--ca`; alone it would be for nothing."""
    with daemon_named(authority, "agents.internal") as daemon:
        named = ["call", "hello", "--target", daemon.target, "--server-name", "agents.internal"]
        code = main([*named, "--ca", str(authority.ca)])
        alone = main(named)

    said = capsys.readouterr()
    assert (code, said.out) == (0, "hello \n")
    assert (alone, said.err) == (2, "penstock: --server-name needs TLS: add --tls, or --ca FILE\n")


@pytest.mark.parametrize("client", [AgentClient, SyncAgentClient])
def test_a_missing_file_is_an_os_error(client: type[AgentClient | SyncAgentClient], tmp_path: Path) -> None:
    """It is found when the client is made, before any call."""
    with pytest.raises(FileNotFoundError, match=r"missing\.pem"):
        client(tls=TLS(ca=tmp_path / "missing.pem"))


@pytest.mark.parametrize("half", ["cert", "key"])
def test_a_certificate_and_its_key_go_together(half: str) -> None:
    """Half a pair would end the whole process, not a call."""
    with pytest.raises(ValueError, match="cert and key go together: give both"):
        TLS(**{half: "/nowhere/own.pem"})


@pytest.fixture
def pem(authority: Authority, tmp_path: Path) -> Path:
    """A directory of files, each good or bad in its own way."""
    cert, key = authority.issue("caller", "DNS:caller")
    garbled = "-----BEGIN {0}-----\nAAAA\n-----END {0}-----\n"
    contents = {
        "caller.pem": cert.read_text(),
        "caller.key": key.read_text(),
        "other.key": authority.issue("other", "DNS:other")[1].read_text(),
        "empty.pem": "",
        "words.pem": "hello",
        "garbled.pem": garbled.format("CERTIFICATE"),
        "half_garbled.pem": authority.ca.read_text() + garbled.format("CERTIFICATE"),
        "garbled.key": garbled.format("PRIVATE KEY"),
    }
    for name, content in contents.items():
        (tmp_path / name).write_text(content)
    lock = ["-in", str(key), "-out", str(tmp_path / "locked.key"), "-aes128", "-passout", "pass:secret"]
    subprocess.run([peer("openssl"), "pkey", *lock], check=True, capture_output=True)
    return tmp_path


@pytest.mark.parametrize("client", [AgentClient, SyncAgentClient])
@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ({"ca": "empty.pem"}, r"/empty\.pem must be certificates in PEM$"),
        ({"ca": "words.pem"}, r"/words\.pem must be certificates in PEM$"),
        ({"ca": "garbled.pem"}, r"/garbled\.pem must be certificates in PEM$"),
        ({"ca": "half_garbled.pem"}, r"/half_garbled\.pem must be certificates in PEM$"),
        ({"ca": "caller.key"}, r"/caller\.key must be certificates in PEM$"),
        ({"cert": "caller.pem", "key": "other.key"}, r"do not belong together: \S+/other\.key, \S+/caller\.pem$"),
        (
            {"cert": "caller.key", "key": "caller.pem"},
            r"/caller\.key must be a certificate in PEM, and \S+/caller\.pem",
        ),
        ({"cert": "garbled.pem", "key": "caller.key"}, r"/garbled\.pem must be a certificate in PEM, and"),
        ({"cert": "caller.pem", "key": "garbled.key"}, r"/garbled\.key its key in PEM without a passphrase$"),
        ({"cert": "caller.pem", "key": "empty.pem"}, r"/empty\.pem its key in PEM without a passphrase$"),
        ({"cert": "caller.pem", "key": "locked.key"}, r"/locked\.key its key in PEM without a passphrase$"),
    ],
)
def test_files_that_cannot_be_used_are_named_at_once(
    client: type[AgentClient | SyncAgentClient], pem: Path, *, chosen: dict[str, str], said: str
) -> None:
    """GRPC would only fail each call, as if the daemon could not be reached."""
    tls = TLS(**{name: str(pem / file) for name, file in chosen.items()})

    with pytest.raises(ValueError, match=said):
        client(tls=tls)


@contextmanager
def piped(file: Path) -> Iterator[str]:
    """A name under which it can be read once, as a shell's `<(cat FILE)` is."""
    end, beginning = os.pipe()
    try:
        os.write(beginning, file.read_bytes())
        os.close(beginning)
        yield f"/dev/fd/{end}"
    finally:
        os.close(end)


def test_files_may_be_pipes(daemon: FakeDaemon, files: tuple[Path, Path]) -> None:
    """Which a secret comes through that is on no disk: each is read once."""
    cert, key = files
    with piped(cert) as ca, piped(cert) as own, piped(key) as secret:
        client = SyncAgentClient(daemon.target, tls=TLS(ca=ca, cert=own, key=secret))

    with client:
        assert client.process("hello").output == "hello "


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ({"ca": "empty.pem"}, r"must be certificates in PEM$"),
        ({"ca": "words.pem"}, r"must be certificates in PEM$"),
        ({"cert": "empty.pem", "key": "caller.key"}, r"its key in PEM without a passphrase$"),
        ({"cert": "caller.pem", "key": "empty.pem"}, r"its key in PEM without a passphrase$"),
    ],
)
def test_pipes_that_cannot_be_used_are_named_at_once(pem: Path, chosen: dict[str, str], said: str) -> None:
    """Over a half of a pair that is empty gRPC would end the whole process."""
    with ExitStack() as stack:
        names = {name: stack.enter_context(piped(pem / file)) for name, file in chosen.items()}
        with pytest.raises(ValueError, match=said):
            SyncAgentClient(tls=TLS(**names))


def test_an_authority_may_be_written_as_openssl_does(
    daemon: FakeDaemon, files: tuple[Path, Path], tmp_path: Path
) -> None:
    """With words around it in any language, and marked as trusted."""
    cert, key = files
    trusted = tmp_path / "trusted.pem"
    marked = subprocess.run(
        [peer("openssl"), "x509", "-in", cert, "-trustout", "-addtrust", "serverAuth"], check=True, capture_output=True
    )
    trusted.write_bytes("Öffentliche Stelle\n".encode() + marked.stdout)

    with SyncAgentClient(daemon.target, tls=TLS(ca=trusted, cert=cert, key=key)) as client:
        assert client.process("hello").output == "hello "


def test_how_strong_a_key_must_be_is_for_the_daemon_to_say(tmp_path: Path) -> None:
    """Ours is not asked for more than gRPC asks."""
    cert, key = tmp_path / "weak.pem", tmp_path / "weak.key"
    weak = ["-newkey", "rsa:1024", "-nodes", "-subj", "/CN=weak", "-keyout", str(key), "-out", str(cert)]
    subprocess.run([peer("openssl"), "req", "-x509", *weak], check=True, capture_output=True)

    SyncAgentClient(tls=TLS(ca=cert, cert=cert, key=key)).close()


def test_a_refused_handshake_leads_to_both_its_causes(
    daemon: FakeDaemon, files: tuple[Path, Path], authority: Authority
) -> None:
    """The daemon itself says nothing to whom it does not trust."""
    cert, key = authority.issue("stranger", "DNS:stranger")

    for tls in (False, TLS(ca=files[0]), TLS(ca=files[0], cert=cert, key=key)):
        with (
            SyncAgentClient(f"127.0.0.1:{daemon.port}", tls=tls) as client,
            pytest.raises(Unreachable, match="does the port speak TLS, or want another certificate of ours"),
        ):
            client.process("hello")


def test_a_port_without_tls_is_called_so(files: tuple[Path, Path]) -> None:
    """In place of a version number that nobody chose."""
    with (
        fake_daemon() as plain,
        SyncAgentClient(f"127.0.0.1:{plain.port}", tls=TLS(ca=files[0])) as client,
        pytest.raises(Unreachable, match="the port speaks no TLS"),
    ):
        client.process("hello")
