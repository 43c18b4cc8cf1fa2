"""The house stands: the daemon's folders are floors, and a file imports only from floors below."""

from pathlib import Path

import pytest

from floors import PACKAGE, crossings, strays

TREE = Path(__file__).parents[2] / "server" / PACKAGE


def test_every_file_imports_only_from_floors_below() -> None:
    """The daemon's own imports go down, those under TYPE_CHECKING too."""
    assert crossings(TREE) == []


def test_every_file_keeps_its_promises_about_the_outside() -> None:
    """State machines are pure, gRPC stays at the edge, and the environment is read in one place."""
    assert strays(TREE) == []


@pytest.mark.parametrize(
    ("file", "source", "complaint"),
    [
        (
            "call.py",
            "import penstockd.models.router",
            "call.py:1 imports penstockd.models.router: floor 2 from floor 3",
        ),
        ("clock.py", "from penstockd import errors", "clock.py:1 imports penstockd.errors: siblings of floor 0"),
        ("health.py", "from penstockd.config import x", "health.py:1 imports penstockd.config.x: floor 5 from floor 6"),
        (
            "agents/a.py",
            "from penstockd.models import x",
            "agents/a.py:1 imports penstockd.models.x: siblings of floor 3",
        ),
        ("models/p/a.py", "from ...app import x", "models/p/a.py:1 imports penstockd.app.x: floor 3 from floor 6"),
        (
            "call.py",
            "if TYPE_CHECKING:\n    from penstockd import app",
            "call.py:2 imports penstockd.app: floor 2 from floor 6",
        ),
        (
            "models/router.py",
            "def f():\n    import penstockd.cli",
            "models/router.py:2 imports penstockd.cli: floor 3 from floor 6",
        ),
        ("outcome.py", "import penstockd.call", "imports in a circle: call, outcome"),
        ("models/pool.py", "from penstockd.models.router import x", "imports in a circle: models.pool, models.router"),
        (
            "misc.py",
            "",
            "misc stands on no floor: name it in FLOORS of tests/floors.py, on the lowest floor above all it imports",
        ),
    ],
)
def test_a_planted_crossing_is_found(tmp_path: Path, file: str, source: str, complaint: str) -> None:
    """Each way to cross a floor is told with its place, and nothing else is."""
    tree = plant(tmp_path, file, source)

    found = crossings(tree)

    assert found == [complaint]


@pytest.mark.parametrize(
    ("file", "source", "complaint"),
    [
        ("resilience/breaker.py", "import asyncio", "resilience/breaker.py:1 imports asyncio: not in resilience/"),
        (
            "resilience/breaker.py",
            "from logging import x",
            "resilience/breaker.py:1 imports logging.x: not in resilience/",
        ),
        ("models/router.py", "import grpc.aio", "models/router.py:1 imports grpc.aio: gRPC stays at the edge"),
        ("admin.py", "from grpc_health import v1", "admin.py:1 imports grpc_health.v1: gRPC stays at the edge"),
        ("app.py", "import os\nos.environ['X']", "app.py:2 reads the environment"),
        ("app.py", "from os import getenv", "app.py:1 reads the environment"),
    ],
)
def test_a_planted_stray_is_found(tmp_path: Path, file: str, source: str, complaint: str) -> None:
    """Each broken promise about the outside is told with its place, and nothing else is."""
    tree = plant(tmp_path, file, source)

    found = strays(tree)

    assert found == [complaint]


def plant(folder: Path, file: str, source: str) -> Path:
    """Build a small house that stands, put `source` into `file`, and return its tree."""
    house = {
        "__init__.py": "",
        "call.py": "from penstockd.outcome import Outcome",
        "outcome.py": "",
        "models/router.py": "from penstockd.models import pool",
        "models/pool.py": "from penstockd.resilience import breaker",
        "resilience/breaker.py": "from penstockd.clock import Clock",
        "clock.py": "import time",
        "serve.py": "import grpc",
        "config/load.py": "import os\nos.environ",
        file: source,
    }
    for name, text in house.items():
        (folder / PACKAGE / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / PACKAGE / name).write_text(text)
    return folder / PACKAGE
