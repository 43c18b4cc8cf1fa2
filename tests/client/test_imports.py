"""The client stands alone."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import penstock
from floors import syntax

SOURCES = Path(penstock.__file__).parent

# What a plain install brings: grpcio, protobuf and googleapis-common-protos.
ALLOWED = {"grpc", "google", "penstock", *sys.stdlib_module_names}


def imported(path: Path) -> Iterator[str]:
    """Yield the first name of every module that a file imports."""
    for node in ast.walk(syntax(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            assert node.module is not None
            yield node.module.partition(".")[0]


def test_the_client_imports_nothing_that_a_plain_install_lacks() -> None:
    """Neither the daemon nor what the daemon needs."""
    files = list(SOURCES.rglob("*.py"))

    foreign = {(path.name, name) for path in files for name in imported(path) if name not in ALLOWED}

    assert len(files) > 10
    assert foreign == set()
