"""Where the daemon listens, and what it says where it cannot."""

import signal
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from peers.live_daemon import PROGRAMS, Daemons, run
from penstock import AgentClient


async def test_a_unix_socket_takes_calls(daemons: Daemons) -> None:
    """For callers on the same machine."""
    with TemporaryDirectory() as short:
        daemon = await daemons.start(environ={"PENSTOCK_LISTEN": f"unix:{short}/penstock.sock"})

        async with AgentClient(daemon.target) as client:
            response = await client.process("hello")

    assert (daemon.target, response.output) == (f"unix:{short}/penstock.sock", "hello")


@pytest.mark.parametrize("which", ["--listen", "--admin-listen"])
async def test_a_taken_port_is_one_line_and_exit_code_1(which: str, daemons: Daemons, tmp_path: Path) -> None:
    """A second daemon does not silently take half of the traffic."""
    daemon = await daemons.start()
    taken = daemon.target if which == "--listen" else daemon.admin.removeprefix("http://")
    ports = {"--listen": "127.0.0.1:0", "--admin-listen": "127.0.0.1:0", which: taken}
    arguments = [word for pair in ports.items() for word in pair]

    elsewhere = {"PENSTOCK_STATE_DIR": str(tmp_path / "elsewhere")}
    code, _, complaint = await run(PROGRAMS / "penstockd", "serve", *arguments, environ=elsewhere)

    assert code == 1
    (line,) = complaint.splitlines()
    assert line.startswith("penstockd: cannot listen on ")
    assert taken in line


async def test_a_taken_socket_is_one_line_and_exit_code_1(daemons: Daemons, tmp_path: Path) -> None:
    """And nothing for whoever has it: the path stays its own. One that a killed daemon left is taken."""
    with TemporaryDirectory() as short:
        listen = f"unix:{short}/penstock.sock"
        daemon = await daemons.start(environ={"PENSTOCK_LISTEN": listen})
        elsewhere = {"PENSTOCK_STATE_DIR": str(tmp_path / "elsewhere"), "PENSTOCK_LISTEN": listen}
        code, _, complaint = await run(
            PROGRAMS / "penstockd", "serve", "--admin-listen", "127.0.0.1:0", environ=elsewhere
        )
        async with AgentClient(listen) as client:
            response = await client.process("hello")
        daemon.signal(signal.SIGKILL)
        await daemon.exit_code()
        again = await daemons.start(environ=elsewhere)

    assert (code, complaint) == (
        1,
        f"penstockd: cannot listen on {listen}: it is taken; PENSTOCK_LISTEN chooses another\n",
    )
    assert (response.output, again.target) == ("hello", listen)
