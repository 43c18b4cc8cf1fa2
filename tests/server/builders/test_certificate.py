"""The server's certificate: what is none is a mistake of the configuration, not a daemon that cannot be reached."""

from pathlib import Path

import grpc
import pytest

from fakes.certificates import Authority
from fakes.clock import FakeClock
from fakes.config_file import ConfigFile
from peers import peer
from penstockd.builders.certificate import certificate
from penstockd.config import ConfigErrors, Settings
from penstockd.logs.log import Log


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Issues certificates beside the configuration file."""
    return Authority(peer("openssl"), tmp_path)


def settings(authority: Authority, directory: Path, **server: str) -> Settings:
    """A configuration with these TLS files, and good ones for the rest."""
    cert, key = authority.issue("localhost")
    files = {"cert": cert.name, "key": key.name, "client_ca": authority.ca.name, **server}
    tls = ", ".join(f"{name}: {file}" for name, file in files.items())
    return ConfigFile(directory).load(f"server: {{tls: {{{tls}}}}}")


def test_in_plaintext_there_is_none(tmp_path: Path) -> None:
    """Nothing is read."""
    assert certificate(ConfigFile(tmp_path).load(""), clock=FakeClock(), log=Log("test")) is None


def test_files_that_fit_together_are_taken(authority: Authority, tmp_path: Path) -> None:
    """A certificate, its key, and who vouches for callers."""
    files = certificate(settings(authority, tmp_path), clock=FakeClock(), log=Log("test"))

    assert files is not None
    assert isinstance(files.credentials(), grpc.ServerCredentials)


@pytest.mark.parametrize("wrong", ["cert", "key", "client_ca"])
@pytest.mark.parametrize("what", ["penstock.yaml", "other.key", "locked.key"])
def test_what_does_not_fit_is_said_at_start(authority: Authority, tmp_path: Path, wrong: str, what: str) -> None:
    """Somebody else's key, a locked one, which nobody is asked to unlock, or no certificate at all."""
    authority.issue("other")
    locked = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMA==\n-----END ENCRYPTED PRIVATE KEY-----\n"
    (tmp_path / "locked.key").write_text(locked, encoding="utf-8")

    with pytest.raises(ConfigErrors) as raised:
        certificate(settings(authority, tmp_path, **{wrong: what}), clock=FakeClock(), log=Log("test"))

    [error] = raised.value.errors
    assert str(error).startswith("server.tls: cannot be used: ")
