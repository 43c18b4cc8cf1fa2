"""Certificate files that are renewed while the daemon runs."""

import logging
import shutil
from pathlib import Path

import grpc
import pytest

from fakes.certificates import Authority
from fakes.clock import FakeClock
from peers import peer
from penstockd.certificate_expiry import expires_at
from penstockd.logs.log import Log
from penstockd.tls import CertificateFiles


class Files:
    """What a daemon reads its certificate from, as somebody renews it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._next = 0
        self.write("cert", "key", "ca")

    def write(self, *names: str) -> None:
        """Put new files in the place of these."""
        self._next += 1
        authority = Authority(peer("openssl"), self._directory / str(self._next))
        cert, key = authority.issue("localhost")
        for name, file in {"cert": cert, "key": key, "ca": authority.ca}.items():
            if name in names:
                shutil.move(file, self[name])

    def __getitem__(self, name: str) -> Path:
        return self._directory / name


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """A certificate, its key and an authority."""
    return Files(tmp_path)


def in_use(files: Files, *, asks_callers: bool = True, clock: FakeClock | None = None) -> CertificateFiles:
    """The same files as a listener has taken them."""
    ca, clock = files["ca"] if asks_callers else None, clock or FakeClock()
    certificate = CertificateFiles(cert=files["cert"], key=files["key"], client_ca=ca, clock=clock, log=Log("test"))
    certificate.credentials()
    return certificate


def test_files_that_have_not_changed_are_kept(files: Files) -> None:
    """A handshake costs three looks and no reading."""
    assert in_use(files).renewed() is None


@pytest.mark.parametrize("names", [("cert", "key"), ("ca",), ("cert", "key", "ca")])
def test_renewed_files_are_taken_once(files: Files, names: tuple[str, ...]) -> None:
    """Until they change again."""
    certificate = in_use(files)

    files.write(*names)

    assert isinstance(certificate.renewed(), grpc.ServerCertificateConfiguration)
    assert certificate.renewed() is None


def test_a_renewal_by_what_has_expired_is_told_of(files: Files, caplog: pytest.LogCaptureFixture) -> None:
    """It is taken all the same: whoever put it there may know better than this machine's clock."""
    clock = FakeClock()
    certificate = in_use(files, clock=clock)
    files.write("cert", "key")
    assert certificate.renewed() is not None
    assert caplog.messages == []

    clock.advance(50 * 365 * 86400.0)
    files.write("cert", "key")

    assert certificate.renewed() is not None
    assert caplog.messages == ["the TLS certificate has expired, and callers refuse it"]


@pytest.mark.parametrize("half", ["cert", "key"])
def test_half_a_renewal_keeps_what_is_in_use(files: Files, half: str, caplog: pytest.LogCaptureFixture) -> None:
    """The other half completes it, and until then operators are told."""
    certificate = in_use(files)

    files.write(half)
    with caplog.at_level(logging.ERROR):
        assert certificate.renewed() is None
    files.write("cert", "key")

    assert caplog.messages == ["the TLS files cannot be used; the certificate in use stays"]
    assert certificate.renewed() is not None


def test_a_key_of_another_certificate_is_said_to_be_one(files: Files) -> None:
    """With both files, as either may be the wrong one."""
    files.write("key")

    with pytest.raises(OSError, match=r"the key and the certificate do not belong together: .*/key, .*/cert"):
        in_use(files)


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        ("cert", "/cert must be a certificate in PEM, and .*/key its key in PEM without a passphrase"),
        ("key", "/cert must be a certificate in PEM, and .*/key its key in PEM without a passphrase"),
        ("ca", "/ca must be certificates in PEM"),
    ],
)
def test_a_file_of_another_kind_is_named(files: Files, broken: str, says: str) -> None:
    """With what must be in it."""
    files[broken].write_text("something else")

    with pytest.raises(OSError, match=says):
        in_use(files)


@pytest.mark.parametrize("name", ["cert", "key", "ca"])
def test_a_file_that_is_gone_keeps_what_is_in_use(files: Files, name: str) -> None:
    """A mount that comes back does no harm."""
    certificate = in_use(files)

    files[name].unlink()

    assert certificate.renewed() is None


def test_it_is_known_until_when_the_one_in_use_is_good(files: Files) -> None:
    """Whatever lies in the files, as long as it cannot be used."""
    certificate, good_until = in_use(files), expires_at(files["cert"].read_text())

    files["cert"].write_text("half of it")
    certificate.renewed()

    assert certificate.expires_at == good_until


def test_an_authority_that_is_not_asked_for_does_not_matter(files: Files) -> None:
    """Without `client_ca` callers need no certificate."""
    certificate = in_use(files, asks_callers=False)

    files["ca"].unlink()

    assert certificate.renewed() is None
