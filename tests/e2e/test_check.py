"""`penstockd check` and the command's exit codes."""

from pathlib import Path

import pytest

import penstock
from fakes.module_file import module_file
from peers.live_daemon import PROGRAMS, run

FIVE_MISTAKES = """
models:
  fast: {provider: opnai, base_url: "http://127.0.0.1:8000/v1", model: gpt, timeouts: {conect: 2s}}
  slow: {provider: openai, base_url: "http://127.0.0.1:8000/v1", model: gpt, timeouts: {idle: 15}}
agents:
  support: {route: {models: [slwo]}}
servr: {listen: "127.0.0.1:0"}
"""


async def test_every_mistake_is_a_line_with_its_path_and_what_was_meant(tmp_path: Path) -> None:
    """All at once, so that one look mends them all; exit code 2."""
    (tmp_path / "penstock.yaml").write_text(FIVE_MISTAKES, encoding="utf-8")

    code, out, complaint = await run(PROGRAMS / "penstockd", "check", "--config", tmp_path / "penstock.yaml")

    assert (code, out) == (2, "")
    lines = [line.removeprefix("penstockd: ") for line in complaint.splitlines()]
    paths = [line.partition(":")[0] for line in lines]
    assert sorted(paths) == [
        "agents.support.route.models[0]",
        "models.fast.provider",
        "models.fast.timeouts.conect",
        "models.slow.timeouts.idle",
        "servr",
    ]
    assert all("did you mean" in line for line in lines if "idle" not in line)


async def test_serving_by_a_file_with_mistakes_is_refused_the_same_way(tmp_path: Path) -> None:
    """Nothing listens by half a configuration."""
    (tmp_path / "penstock.yaml").write_text(FIVE_MISTAKES, encoding="utf-8")

    code, _, complaint = await run(PROGRAMS / "penstockd", "serve", "--config", tmp_path / "penstock.yaml")

    assert (code, len(complaint.splitlines())) == (2, 5)


async def test_a_python_agent_that_cannot_be_loaded_is_a_mistake_as_well(tmp_path: Path) -> None:
    """It is found before the daemon serves."""
    text = 'agents: {broken: {python: "imported.agents:nobody"}}'
    (tmp_path / "penstock.yaml").write_text(text, encoding="utf-8")

    code, _, complaint = await run(PROGRAMS / "penstockd", "check", "--config", tmp_path / "penstock.yaml")

    assert code == 2
    assert complaint.startswith("penstockd: agents.broken.python: ")


@pytest.mark.parametrize("command", ["check", "serve"])
async def test_a_module_that_interrupts_is_a_mistake_and_no_ctrl_c(command: str, tmp_path: Path) -> None:
    """It is a line, as all else that a module raises is."""
    text = f"agents: {{broken: {{python: '{module_file(tmp_path, 'raise KeyboardInterrupt')}'}}}}"
    (tmp_path / "penstock.yaml").write_text(text, encoding="utf-8")

    config, own = tmp_path / "penstock.yaml", {"PENSTOCK_STATE_DIR": str(tmp_path)}
    code, _, complaint = await run(PROGRAMS / "penstockd", command, "--config", config, environ=own)

    assert (code, complaint.splitlines()[-1]) == (
        2,
        "penstockd: agents.broken.python: cannot import 'own_module:run': KeyboardInterrupt",
    )
    assert "Traceback" not in complaint


@pytest.mark.parametrize(("command", "exits"), [("check", 130), ("serve", 0)])
async def test_ctrl_c_ends_what_imports_an_agent_at_once(command: str, exits: int, tmp_path: Path) -> None:
    """Without a word: the person at the terminal knows."""
    text = f"agents: {{own: {{python: '{module_file(tmp_path, 'os.kill(os.getpid(), signal.SIGINT)')}'}}}}"
    (tmp_path / "penstock.yaml").write_text(text, encoding="utf-8")

    config, own = tmp_path / "penstock.yaml", {"PENSTOCK_STATE_DIR": str(tmp_path)}
    code, out, complaint = await run(PROGRAMS / "penstockd", command, "--config", config, environ=own)

    assert (code, out, complaint) == (exits, "", "")


async def test_the_effective_configuration_is_shown_without_its_secrets(tmp_path: Path) -> None:
    """It can be pasted into an issue."""
    environ = {"LLM_API_KEY": "sk-very-secret", "LLM_MODEL": "gpt-4o"}

    code, out, complaint = await run(PROGRAMS / "penstockd", "check", "--print", environ=environ)

    assert (code, complaint) == (0, "")
    assert "gpt-4o" in out
    assert "sk-very-secret" not in out


async def test_the_version_is_the_distributions(tmp_path: Path) -> None:
    """Both commands are of one piece."""
    for command in ("penstockd", "penstock"):
        assert await run(PROGRAMS / command, "--version") == (0, f"{command} {penstock.__version__}\n", "")


@pytest.mark.parametrize(
    ("command", "output", "reason"),
    [
        ("check", ">/dev/full", "No space left on device"),
        ("check", ">&-", "it is closed"),
        ("check --print", "| :", "Broken pipe"),
        ("keys new", ">/dev/full", "No space left on device"),
        ("keys new", ">&-", "it is closed"),
    ],
)
async def test_what_cannot_be_written_is_a_line_and_no_success(command: str, output: str, reason: str) -> None:
    """Nobody takes a key that was not shown, or a check that said nothing, for made."""
    script = f"{{ {PROGRAMS / 'penstockd'} {command}; echo code $? >&2; }} {output}"
    environ = {"PENSTOCK_KEY_PEPPER": "a-pepper-of-some-length", "LLM_API_KEY": "sk-1"}

    _, out, complaint = await run("sh", "-c", script, environ=environ)

    assert out == ""
    assert complaint.splitlines()[-2:] == [f"penstockd: cannot write to standard output: {reason}", "code 1"]
    assert "Traceback" not in complaint
    assert "Exception ignored" not in complaint
