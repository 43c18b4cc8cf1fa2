"""Real programs to test against, which nobody here wrote: `make tools` installs them."""

import os
import shutil
from pathlib import Path

import pytest

CACHE = Path(__file__).parents[1] / ".cache" / "bin"


def peer(name: str) -> Path:
    """Return the program `name`; where it is not installed, skip the test on a laptop and fail it in CI."""
    debian = [str(place) for place in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    path = os.pathsep.join([str(CACHE), os.environ.get("PATH", ""), str(Path.home() / "go" / "bin"), *debian])
    found = shutil.which(name, path=path)
    if found:
        return Path(found)
    missing = f"{name} is not installed: make tools"
    if os.environ.get("CI"):
        pytest.fail(missing)
    pytest.skip(missing)
