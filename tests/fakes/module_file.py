"""A module with an agent that a test writes beside its configuration, where the daemon looks for it."""

from pathlib import Path

AGENT = """

async def run(request, context):
    return request.input
"""


def module_file(folder: Path, statement: str) -> str:
    """Write one that runs `statement` as it is imported, which may use atexit, os, signal and sys; return its agent."""
    (folder / "own_module.py").write_text(f"import atexit, os, signal, sys\n\n{statement}\n{AGENT}", encoding="utf-8")
    return "own_module:run"
