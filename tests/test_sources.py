"""What every Python from 3.11 on must be able to read."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCES = [
    path for folder in ("server", "client", "tests", "benchmarks", "examples") for path in (ROOT / folder).rglob("*.py")
]
HALF_OF_A_CHARACTER = re.compile("[\ud800-\udfff]")


def docstrings(source: str) -> Iterator[str]:
    """Every docstring of a module."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield ast.get_docstring(node) or ""


def test_docstrings_hold_no_half_of_a_character() -> None:
    """Since 3.13 the compiler refuses the whole file for one, where `r` before the quotes was forgotten."""
    wrong = [path for path in SOURCES if any(map(HALF_OF_A_CHARACTER.search, docstrings(path.read_text("utf-8"))))]

    assert wrong == []
