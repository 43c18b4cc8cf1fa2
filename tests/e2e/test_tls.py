"""The TLS listener, and the plaintext port for health beside it."""

import asyncio
import ssl
from pathlib import Path

import grpc
import pytest

from fakes.certificates import self_signed
from fakes.rpc import PROCESS, wire
from peers import peer
from peers.live_daemon import Daemons, Penstockd, run
from penstock import TLS, AgentClient
from penstock.v1.agent_service_pb2 import ProcessRequest


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate and its key, for localhost."""
    return self_signed(peer("openssl"), tmp_path)


async def start(daemons: Daemons, certificate: tuple[Path, Path], **server: object) -> Penstockd:
    """Start a daemon that listens with TLS."""
    cert, key = map(str, certificate)
    return await daemons.start(server={"tls": {"cert": cert, "key": key}, **server})


async def shown(daemon: Penstockd) -> str:
    """The certificate of a new handshake, in PEM."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    host, _, port = daemon.target.rpartition(":")
    _, writer = await asyncio.open_connection(host, int(port), ssl=context)
    der: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.transport.abort()
    return ssl.DER_cert_to_PEM_cert(der)


async def test_a_caller_who_trusts_the_certificate_is_answered(
    daemons: Daemons, certificate: tuple[Path, Path]
) -> None:
    """And its channel is health-checked over the same connection."""
    daemon = await start(daemons, certificate)

    async with AgentClient(daemon.target, tls=TLS(ca=certificate[0])) as client:
        assert (await client.process("hello")).output == "hello"


async def test_plaintext_is_refused_on_the_tls_port(daemons: Daemons, certificate: tuple[Path, Path]) -> None:
    """Nothing is answered to whoever forgot the TLS."""
    daemon = await start(daemons, certificate)

    async with wire(daemon.target) as client:
        ended = await client.ask(PROCESS, ProcessRequest(input="hi"))

    assert (ended.code, daemon.logged("call finished")) == (grpc.StatusCode.UNAVAILABLE, [])


async def test_a_renewed_certificate_is_shown_without_a_restart(
    daemons: Daemons, certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    """Half a renewal, the certificate without its key, keeps the old one in use."""
    cert, key = certificate
    before = cert.read_text()
    (tmp_path / "new").mkdir()
    new_cert, new_key = self_signed(peer("openssl"), tmp_path / "new")
    daemon = await start(daemons, certificate)
    assert await shown(daemon) == before

    new_cert.rename(cert)
    half_way = await shown(daemon)
    new_key.rename(key)
    renewed = await shown(daemon)

    assert (half_way, renewed) == (before, cert.read_text())
    assert renewed != before
    await daemon.line("the TLS certificate was read anew")


async def test_health_is_answered_in_plaintext_on_a_port_of_its_own(
    daemons: Daemons, certificate: tuple[Path, Path]
) -> None:
    """Kubelets speak no TLS; on that port there is nothing else."""
    daemon = await start(daemons, certificate, health_listen="127.0.0.1:0")

    code, _, _ = await run(peer("grpc-health-probe"), f"-addr={daemon.health}")
    async with wire(daemon.health) as client:
        ended = await client.ask(PROCESS, ProcessRequest(input="hi"))

    assert (code, ended.code) == (0, grpc.StatusCode.UNIMPLEMENTED)
