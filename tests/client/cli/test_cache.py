"""`penstock cache purge` forgets stored answers."""

import json
from collections.abc import Callable

import pytest

from fakes.daemon import FakeDaemon
from penstock.v1.cache_service_pb2 import PurgeRequest

Run = Callable[..., tuple[int, str, str]]


def test_a_purge_says_how_much_it_forgot(run: Run, daemon: FakeDaemon) -> None:
    """All, or what is named."""
    assert run("cache", "purge") == (0, "1 answer forgotten\n", "")
    assert run("cache", "purge", "--tenant", "acme", "--agent", "model/fast") == (0, "2 answers forgotten\n", "")
    assert daemon.purges == [PurgeRequest(), PurgeRequest(tenant="acme", agent="model/fast")]


def test_programs_read_json(run: Run, daemon: FakeDaemon) -> None:
    """In the contract's words."""
    code, out, _ = run("cache", "purge", "--json")

    assert (code, json.loads(out)) == (0, {"entries": "1"})


def test_the_key_goes_along(run: Run, daemon: FakeDaemon) -> None:
    """Only an operator's does it."""
    run("cache", "purge", "--api-key", "pk_x")

    assert daemon.metadata["authorization"] == "Bearer pk_x"


def test_the_cache_alone_is_no_command(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """What to do with it must be said."""
    with pytest.raises(SystemExit) as ended:
        run("cache")

    assert ended.value.code == 2
