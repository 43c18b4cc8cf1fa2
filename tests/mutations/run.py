"""Shows that the tests notice: breaks a copy of the sources, one patch at a time, and wants the tests named to fail.

Each patch says above its diff what it breaks and, in lines that begin with `fails:`, which tests are to notice.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

ROOT: Final = Path(__file__).parents[2]
COPIED: Final = ("client", "server", "tests", "pyproject.toml")
FAILED: Final = 1
"""What pytest exits with when tests ran, and some failed."""


@dataclass(frozen=True)
class Mutation:
    """A patch that takes away something that tests should miss."""

    patch: Path

    @property
    def tests(self) -> list[str]:
        """The tests that are to fail, as pytest names them."""
        return re.findall(r"^fails: (.+)$", self.patch.read_text(encoding="utf-8"), re.MULTILINE)

    def survivors(self) -> list[str]:
        """Apply the patch to a copy and return the tests that do not mind."""
        with TemporaryDirectory() as directory:
            copy = copied(Path(directory))
            apply(self.patch, copy)
            failed = failures(copy, self.tests)
        return [test for test in self.tests if not any(name.startswith(test) for name in failed)]


def mutations() -> list[Mutation]:
    """All there are, by name."""
    return [Mutation(patch) for patch in sorted(Path(__file__).parent.glob("*.patch"))]


def copied(directory: Path) -> Path:
    """Copy what the tests need."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, directory / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, directory / name)
    return directory


def apply(patch: Path, copy: Path) -> None:
    """Patch the copy; CalledProcessError if the sources have moved on from what the patch knows."""
    subprocess.run(["git", "apply", patch], cwd=copy, check=True, env=outside_of_repositories(copy))


def outside_of_repositories(copy: Path) -> dict[str, str]:
    """Keep git from looking for a repository above the copy, where it would skip files that it does not know."""
    return {**os.environ, "GIT_CEILING_DIRECTORIES": str(copy.parent)}


def failures(copy: Path, tests: Sequence[str]) -> list[str]:
    """Run tests of the copy against its own sources and return those that failed; RuntimeError if they did not run."""
    path = os.pathsep.join(str(copy / side) for side in ("client", "server"))
    command = [sys.executable, "-m", "pytest", "-q", "--tb=no", "-rf", "-p", "no:cacheprovider", *tests]
    ended = subprocess.run(
        command, cwd=copy, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False
    )
    if ended.returncode not in (0, FAILED):
        raise RuntimeError(ended.stdout + ended.stderr)
    return re.findall(r"^FAILED (.+?)(?: - .*)?$", ended.stdout, re.MULTILINE)


def main(patches: Iterable[Mutation]) -> int:
    """Check that the tests pass as things are and fail when broken; return 1 if one does not."""
    known = list(patches)
    with TemporaryDirectory() as directory:
        failing = failures(copied(Path(directory)), [test for mutation in known for test in mutation.tests])
    for test in failing:
        print(f"fails as it is: {test}")
    survivors = [(mutation, test) for mutation in known for test in mutation.survivors()]
    for mutation, test in survivors:
        print(f"{mutation.patch.stem} survives {test}")
    print(f"{len(known)} mutations, {len(survivors)} tests that did not notice")
    return 1 if failing or survivors else 0


if __name__ == "__main__":
    sys.exit(main(mutations()))
