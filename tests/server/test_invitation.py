"""A person who started a daemon is told how to ask it something."""

import sys
from pathlib import Path

import pytest

from fakes.config_file import ConfigFile
from penstockd.config.address import Address, TcpAddress, UnixAddress
from penstockd.invitation import invitation

USUAL = TcpAddress("127.0.0.1", 50051)
KEYED = "tenants: {acme: {}}"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the command lies beside a daemon that was started by its path, in a folder that is not on PATH."""
    command = tmp_path / "a venv" / "penstock"
    command.parent.mkdir()
    command.touch(mode=0o755)
    monkeypatch.setattr(sys, "argv", [str(command.with_name("penstockd")), "serve"])
    monkeypatch.setenv("PATH", "/nowhere")
    return command


def invited(tmp_path: Path, text: str = "", listen: Address = USUAL, **environ: str) -> str | None:
    """What a daemon of this configuration says."""
    return invitation(ConfigFile(tmp_path).load(text, environ), listen)


def test_the_command_is_named_by_its_path_where_no_shell_would_find_it(tmp_path: Path, installed: Path) -> None:
    """As a shell reads it, whatever folder the second terminal is in."""
    assert invited(tmp_path) == f"""try it from a second terminal: '{installed}' call "hello\""""


@pytest.mark.parametrize("argument", ["penstockd", "-c", "", "/nowhere/penstockd"])
def test_the_command_is_plain_where_none_lies_beside_the_daemon(
    tmp_path: Path, installed: Path, monkeypatch: pytest.MonkeyPatch, argument: str
) -> None:
    """A name without a folder is no path to it, even in its own folder."""
    monkeypatch.chdir(installed.parent)
    monkeypatch.setattr(sys, "argv", [argument])

    assert invited(tmp_path) == 'try it from a second terminal: penstock call "hello"'


def test_the_command_is_plain_where_a_shell_finds_it(
    tmp_path: Path, installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through a link as well; but not where it would find another one first."""
    links, others = tmp_path / "links", tmp_path / "others"
    for folder in (links, others):
        folder.mkdir()
    (links / "penstock").symlink_to(installed)
    (others / "penstock").touch(mode=0o755)

    monkeypatch.setenv("PATH", str(links))
    assert "terminal: penstock call" in str(invited(tmp_path))
    monkeypatch.setenv("PATH", f"{others}:{links}")
    assert str(installed) in str(invited(tmp_path))


@pytest.mark.parametrize(
    ("listen", "target"),
    [
        (TcpAddress("0.0.0.0", 50051), ""),  # noqa: S104 - what an operator may ask for
        (TcpAddress("::", 50051), ""),
        (TcpAddress("127.0.0.1", 7), " --target 127.0.0.1:7"),
        (TcpAddress("0.0.0.0", 7), " --target 127.0.0.1:7"),  # noqa: S104 - as above
        (TcpAddress("::1", 7), " --target '[::1]:7'"),
        (UnixAddress(Path("/run/a b.sock")), " --target 'unix:/run/a b.sock'"),
    ],
)
@pytest.mark.usefixtures("installed")
def test_the_target_is_named_where_it_is_not_the_usual_one(tmp_path: Path, listen: Address, target: str) -> None:
    """An address that stands for all of them is reached by one of them."""
    assert f'call{target} "hello"' in str(invited(tmp_path, listen=listen))


def test_a_daemon_that_wants_more_than_a_call_invites_nobody(tmp_path: Path) -> None:
    """The line would be refused where it is typed; a tenant `default` takes callers without keys."""
    (tmp_path / "a.pem").touch()
    (tmp_path / "a.key").touch(mode=0o600)

    assert invited(tmp_path, KEYED) is None
    assert invited(tmp_path, "server: {tls: {cert: a.pem, key: a.key}}") is None
    assert invited(tmp_path, "environment: staging\nserver: {insecure: true}\n" + KEYED) is None
    assert invited(tmp_path, "tenants: {acme: {}, default: {}}") is not None
