"""The lock is fresh and whole, and what is installed from it is what it pins."""

import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]


def asked_by_the_project() -> Iterator[str]:
    """Every requirement of pyproject.toml that the lock covers."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    yield from project["project"]["dependencies"]
    for extra in project["project"]["optional-dependencies"].values():
        yield from extra
    yield from project["dependency-groups"]["dev"]
    yield from project["build-system"]["requires"]


def pins(lock: str) -> dict[str, str]:
    """The version of every package that a lock names."""
    lines = (ROOT / lock).read_text().splitlines()
    exact = (Requirement(line.removesuffix("\\")) for line in lines if line[:1].isalnum())
    return {each.name.lower(): str(each.specifier).removeprefix("==") for each in exact}


def is_met(requirement: Requirement, pinned: dict[str, str]) -> bool:
    """Whether a package is pinned at a version that the requirement allows."""
    version = pinned.get(requirement.name.lower())
    return version is not None and requirement.specifier.contains(version, prereleases=True)


@pytest.mark.parametrize(
    ("lock", "asked"),
    [
        ("requirements.lock", list(asked_by_the_project())),
        ("protos/requirements.lock", (ROOT / "protos" / "requirements.in").read_text().splitlines()),
    ],
)
def test_a_lock_satisfies_every_requirement(lock: str, asked: list[str]) -> None:
    """A requirement changed without `make lock` is found here, offline."""
    pinned = pins(lock)

    unmet = [each for each in map(Requirement, asked) if not is_met(each, pinned)]

    assert asked
    assert unmet == [], "run make lock"


def test_nothing_is_missing_from_the_lock() -> None:
    """The environment that `make setup` made of it has all that its packages need."""
    checked = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True, check=False)

    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("installer", ["Makefile", "protos/generate", "deploy/container/Dockerfile"])
def test_an_install_takes_what_the_lock_pins_and_looks_no_further(installer: str) -> None:
    """Left to resolve, pip takes a dependency with an extra (`coverage[toml]`) for one that is not pinned.

    It then fails on the day a newer version of that package is released.
    """
    installs = [line for line in (ROOT / installer).read_text().splitlines() if "--require-hashes" in line]

    assert installs
    assert all("--no-deps" in line for line in installs)
