"""Callers with certificates: whose they are, and that renewing them takes no call down."""

import asyncio
import shutil
from pathlib import Path

import grpc
import pytest
from grpc import StatusCode

from fakes.certificates import Authority
from fakes.rpc import PROCESS, Metadata, wire
from peers import peer
from peers.live_daemon import Daemons, Penstockd, run
from penstock import TLS, AgentClient, PenstockError
from penstock.v1.agent_service_pb2 import ProcessRequest
from penstockd.api_key import digest, generate

PEPPER = "pepper"
WEB, APP = generate(), generate()
TENANTS = {
    "acme": {
        "sans": ["spiffe://x/acme", "acme.svc", "ops@acme.example"],
        "keys": [{"name": "web", "hash": digest(PEPPER, WEB)}],
    },
    "globex": {"sans": ["globex.svc"], "keys": [{"name": "app", "hash": digest(PEPPER, APP)}]},
}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Who vouches for everybody."""
    return Authority(peer("openssl"), tmp_path_factory.mktemp("authority"))


async def start(daemons: Daemons, authority: Authority, directory: Path) -> Penstockd:
    """Start a daemon whose callers need a certificate."""
    cert, key = authority.issue("localhost", "DNS:localhost", "IP:127.0.0.1")
    files = {"cert": cert, "key": key, "client_ca": authority.ca}
    copies = {name: str(shutil.copy(file, directory / f"{name}.pem")) for name, file in files.items()}
    return await daemons.start(
        environ={"PENSTOCK_KEY_PEPPER": PEPPER},
        tenants=TENANTS,
        server={"tls": copies, "health_listen": "127.0.0.1:0"},
    )


def tls(ca: Path, authority: Authority) -> TLS:
    """How a caller of acme connects, with a certificate of `authority`."""
    cert, key = authority.issue("caller", "DNS:acme.svc")
    return TLS(ca=ca, cert=cert, key=key)


def credentials(ca: Path, cert: Path | None = None, key: Path | None = None) -> grpc.ChannelCredentials:
    """What a caller connects with."""
    return TLS(ca=ca, cert=cert, key=key).credentials()


def bearer(*keys: str) -> Metadata:
    """What a caller sends."""
    return tuple(("authorization", f"Bearer {text}") for text in keys)


@pytest.mark.parametrize(
    ("sans", "keys", "told"),
    [
        (["URI:spiffe://x/acme"], [], {"tenant": "acme", "code": "OK"}),
        (["DNS:acme.svc"], [], {"tenant": "acme", "code": "OK"}),
        (["email:ops@acme.example"], [], {"tenant": "acme", "code": "OK"}),
        (["DNS:other.svc", "DNS:globex.svc"], [APP], {"tenant": "globex", "key": "app", "code": "OK"}),
        (["DNS:acme.svc"], [WEB], {"tenant": "acme", "key": "web", "code": "OK"}),
        (["DNS:globex.svc"], [WEB], {"code": "UNAUTHENTICATED"}),
        (["DNS:acme.svc", "DNS:globex.svc"], [], {"code": "UNAUTHENTICATED"}),
        (["DNS:acme.svc"], [generate()], {"code": "UNAUTHENTICATED"}),
        (["DNS:acme.svc"], [WEB, WEB], {"code": "UNAUTHENTICATED"}),
        (["DNS:other.svc"], [WEB], {"code": "UNAUTHENTICATED"}),
        ([], [WEB], {"code": "UNAUTHENTICATED"}),
    ],
)
async def test_a_certificate_says_whose_the_call_is(
    daemons: Daemons, authority: Authority, tmp_path: Path, *, sans: list[str], keys: list[str], told: dict[str, str]
) -> None:
    """A key beside it must be of the same tenant; it does not make up for a certificate of nobody."""
    daemon = await start(daemons, authority, tmp_path)
    cert, key = authority.issue("caller", *sans)

    async with wire(daemon.target.replace("127.0.0.1", "localhost"), credentials(authority.ca, cert, key)) as client:
        ended = await client.ask(PROCESS, ProcessRequest(input="hi"), metadata=bearer(*keys))

    line = await daemon.line("call finished")
    assert {name: line[name] for name in ("tenant", "key", "code") if name in line} == told
    assert ended.code.name == told["code"]


async def test_whoever_has_no_certificate_does_not_get_in(
    daemons: Daemons, authority: Authority, tmp_path: Path
) -> None:
    """Nor with one of a stranger; the probe has a port of its own."""
    daemon = await start(daemons, authority, tmp_path)
    stranger = Authority(peer("openssl"), tmp_path / "stranger")
    codes = []

    for mine in (credentials(authority.ca), credentials(authority.ca, *stranger.issue("caller", "DNS:acme.svc"))):
        async with wire(daemon.target, mine) as client:
            ended = await client.ask(PROCESS, ProcessRequest(input="hi"), metadata=bearer(WEB))
            codes.append(ended.code)
    probed, _, _ = await run(peer("grpc-health-probe"), f"-addr={daemon.health}")

    assert codes == [StatusCode.UNAVAILABLE] * 2
    assert daemon.logged("call finished") == []
    assert probed == 0


@pytest.mark.parametrize(("version", "is_spoken"), [("-tls1", False), ("-tls1_1", False), ("-tls1_2", True)])
async def test_only_tls_from_1_2_on_is_spoken(
    daemons: Daemons, authority: Authority, tmp_path: Path, *, version: str, is_spoken: bool
) -> None:
    """By a client that would take anything."""
    daemon = await start(daemons, authority, tmp_path)
    cert, key = authority.issue("caller", "DNS:acme.svc")
    mine = ["-cert", str(cert), "-key", str(key), "-alpn", "h2"]

    code, out, _ = await run(
        peer("openssl"), "s_client", "-connect", daemon.target, version, "-cipher", "ALL:@SECLEVEL=0", *mine
    )

    assert (code == 0, "Cipher is (NONE)" in out) == (is_spoken, not is_spoken), out
    assert "and written 0 bytes" not in out, "the client itself must be willing"


async def test_everything_is_renewed_under_load_without_a_failed_call(
    daemons: Daemons, authority: Authority, tmp_path: Path
) -> None:
    """First the callers' next authority is trusted beside the old one, then certificate and key are exchanged."""
    daemon = await start(daemons, authority, tmp_path)
    following = Authority(peer("openssl"), tmp_path / "following")
    both = tmp_path / "both.pem"
    both.write_text(authority.ca.read_text() + following.ca.read_text())
    mine, failures = tls(both, authority), list[PenstockError]()
    is_over = asyncio.Event()

    async def ask_on() -> None:
        while not is_over.is_set():
            try:
                async with AgentClient(daemon.target, tls=mine) as client:
                    for _ in range(5):
                        await client.process("hi")
            except PenstockError as error:
                failures.append(error)

    async def more(calls: int) -> None:
        """Wait until so many more calls were answered."""
        await daemon.line("call finished", code="OK", count=len(daemon.logged("call finished", code="OK")) + calls)

    callers = [asyncio.create_task(ask_on()) for _ in range(4)]
    await more(20)
    both_for_callers = tmp_path / "next_ca.pem"
    shutil.copy(both, both_for_callers)
    both_for_callers.rename(tmp_path / "client_ca.pem")
    await daemon.line("the TLS certificate was read anew")
    mine = tls(both, following)
    cert, key = following.issue("localhost", "DNS:localhost", "IP:127.0.0.1")
    cert.rename(tmp_path / "cert.pem")
    await more(20)
    key.rename(tmp_path / "key.pem")
    await daemon.line("the TLS certificate was read anew", count=2)
    await more(100)
    is_over.set()
    await asyncio.gather(*callers)

    assert failures == []
    async with AgentClient(daemon.target, tls=tls(following.ca, following)) as client:
        assert (await client.process("hi")).output == "hi"
