"""Why a server cannot listen is said in words for people."""

from pathlib import Path

import pytest

from penstockd.grpc_server import grpc_server
from penstockd.listener import CannotListen, Listener


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("unix:{directory}/nowhere/s", "No such file or directory"),
        ("unix:{directory}/file/s", "Not a directory"),
        ("no-such-host.invalid:1", ".*(not known|failure).*"),
        ("192.0.2.1:1", "it is not an address of this machine"),
    ],
)
async def test_why_an_address_cannot_be_taken_is_said(tmp_path: Path, address: str, reason: str) -> None:
    """In the words of the system, as gRPC keeps them to itself."""
    (tmp_path / "file").touch()
    server = grpc_server(handlers=(), max_message=4096, max_streams=100)
    listener = Listener(server=server, address=address.format(directory=tmp_path), setting="PENSTOCK_LISTEN")

    with pytest.raises(CannotListen, match=rf": {reason}; PENSTOCK_LISTEN chooses another$"):
        listener.bind()
