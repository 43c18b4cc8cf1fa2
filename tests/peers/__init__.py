"""Real programs to test against, which nobody here wrote: `make tools` installs them."""

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

CACHE = Path(__file__).parents[2] / ".cache"


def peer(name: str) -> Path:
    """Return the program `name`; where it is not installed, skip the test on a laptop and fail it in CI."""
    debian = [str(place) for place in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    path = os.pathsep.join([str(CACHE / "bin"), os.environ.get("PATH", ""), str(Path.home() / "go" / "bin"), *debian])
    found = shutil.which(name, path=path)
    return Path(found) if found else _missing(name)


def library(path: str) -> Path:
    """Return a file below .cache, such as "axe/axe.min.js"; where it is not installed, as `peer` does."""
    found = CACHE / path
    return found if found.is_file() else _missing(path)


def _missing(name: str) -> NoReturn:
    missing = f"{name} is not installed: make tools"
    if os.environ.get("CI"):
        pytest.fail(missing)
    pytest.skip(missing)
