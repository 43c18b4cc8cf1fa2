"""A peer that is not there is a skip on a laptop and a failure in CI."""

from pathlib import Path

import pytest

import peers


def test_a_peer_is_found_where_make_tools_puts_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The project's own copy comes before any other on the machine."""
    ours = tmp_path / "bin" / "sh"
    ours.parent.mkdir()
    ours.touch(mode=0o755)
    monkeypatch.setattr(peers, "CACHE", tmp_path)

    found = peers.peer("sh")

    assert found == ours


def test_a_library_is_found_there_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its path; one that is missing is a peer that is missing."""
    (tmp_path / "axe.js").touch()
    monkeypatch.setattr(peers, "CACHE", tmp_path)
    monkeypatch.delenv("CI", raising=False)

    assert peers.library("axe.js") == tmp_path / "axe.js"
    with pytest.raises(pytest.skip.Exception, match="make tools"):
        peers.library("no-such-library.js")


def test_a_missing_peer_skips_on_a_laptop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody needs Go or npm to run the tests."""
    monkeypatch.delenv("CI", raising=False)

    with pytest.raises(pytest.skip.Exception, match="make tools"):
        peers.peer("no-such-program")


def test_a_missing_peer_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    """In CI a test that could not run is no test passed."""
    monkeypatch.setenv("CI", "true")

    with pytest.raises(pytest.fail.Exception, match="make tools"):
        peers.peer("no-such-program")
