"""Whom upstreams are believed by is read once, and again when it changes."""

import gc
import ssl
import weakref
from pathlib import Path

import pytest

from fakes.certificates import self_signed
from peers import peer
from penstockd.models.providers.trust import trust_in


@pytest.fixture
def ca(tmp_path: Path) -> Path:
    """A file with one certificate."""
    cert, _ = self_signed(peer("openssl"), tmp_path)
    return cert


def test_all_who_trust_the_same_share_it(ca: Path) -> None:
    """To read the system's certificates takes long."""
    assert trust_in(str(ca)) is trust_in(str(ca))
    assert trust_in(None) is trust_in(None)
    assert trust_in(None) is not trust_in(str(ca))


def test_many_files_are_read_once_each(ca: Path, tmp_path: Path) -> None:
    """However many there are: a reload that reads them again would also open all connections anew."""
    files = [str(tmp_path / f"{number}.pem") for number in range(40)]
    for file in files:
        Path(file).write_bytes(ca.read_bytes())

    first, again = ([trust_in(file) for file in files] for _ in range(2))

    assert all(before is after for before, after in zip(first, again, strict=True))


def test_what_nobody_uses_is_forgotten(ca: Path) -> None:
    """Reloads may name other files for as long as the daemon runs."""
    trust = weakref.ref(trust_in(str(ca)))

    gc.collect()

    assert trust() is None


def test_a_file_that_was_replaced_is_read_anew(ca: Path, tmp_path: Path) -> None:
    """A new authority is believed, and the old one no more."""
    before = trust_in(str(ca))
    self_signed(peer("openssl"), tmp_path, "other")[0].rename(ca)

    after = trust_in(str(ca))

    assert [subject(trust) for trust in (before, after)] == ["localhost", "other"]


def test_a_link_that_leads_elsewhere_is_a_change(ca: Path, tmp_path: Path) -> None:
    """So Kubernetes replaces a mounted file."""
    other, _ = self_signed(peer("openssl"), tmp_path, "other")
    link = tmp_path / "link.pem"
    link.symlink_to(ca)
    before = trust_in(str(link))

    link.unlink()
    link.symlink_to(other)

    assert [subject(trust) for trust in (before, trust_in(str(link)))] == ["localhost", "other"]


def test_a_file_that_was_mended_is_believed(ca: Path, tmp_path: Path) -> None:
    """A mistake is not kept."""
    file = tmp_path / "mended.pem"
    file.write_text("no certificate\n")
    with pytest.raises(OSError, match="no certificate"):
        trust_in(str(file))

    file.write_bytes(ca.read_bytes())

    assert subject(trust_in(str(file))) == "localhost"


def subject(trust: ssl.SSLContext) -> str:
    """Which of these names the only authority that is believed has."""
    [authority] = trust.get_ca_certs(binary_form=True)
    return next(name for name in ("localhost", "other") if name.encode() in authority)
