"""deploy/container: what the image is made of and runs. Docker itself is not needed, and not tried."""

import json
import os
import re
import shlex
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

from peers.live_daemon import PROGRAMS, Daemons, run

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "container"
DOCKERFILE = (FOLDER / "Dockerfile").read_text(encoding="utf-8")
INSTRUCTIONS = re.findall(
    r"^([A-Z]+) (.+)$", re.sub(r"\\\n", "", re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.MULTILINE)), re.MULTILINE
)


def told(instruction: str) -> list[str]:
    """What follows an instruction, each time it is given."""
    return [rest for name, rest in INSTRUCTIONS if name == instruction]


def test_what_is_copied_is_in_the_repository_and_not_left_out() -> None:
    """A path that has moved would be found by the next build only."""
    sources = [word for line in told("COPY") if "--from" not in line for word in line.split()[:-1]]
    kept = {
        line.removeprefix("!")
        for line in (FOLDER / "Dockerfile.dockerignore").read_text().splitlines()
        if line.startswith("!")
    }

    assert sources
    assert [source for source in sources if not (ROOT / source).exists()] == []
    assert [source for source in sources if not any(fnmatch(source, name) for name in kept)] == []


def test_the_project_is_built_of_nothing_else() -> None:
    """What pyproject.toml names is there."""
    copied = {word for line in told("COPY") if "--from" not in line for word in line.split()[:-1]}

    assert {"pyproject.toml", "README.md", "LICENSE", "client", "server"} <= copied


def test_nothing_is_installed_that_is_not_in_the_lock() -> None:
    """One step may look outside, and it checks every file's hash."""
    commands = [command.strip() for line in told("RUN") for command in line.split("&&") if " pip " in command]
    outside = [command for command in commands if "--no-index" not in command and "--no-build-isolation" not in command]

    assert len(outside) == 1
    assert " pip download " in outside[0]
    assert "--require-hashes" in outside[0]


def test_it_does_not_run_as_root() -> None:
    """The last user is a number that is not 0, so that Kubernetes can see it."""
    user = told("USER")[-1]

    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", user)


def test_nothing_comes_along_with_the_environment() -> None:
    """`venv` puts the pip and setuptools there that its Python came with, which no lock names."""
    (made,) = [command for line in told("RUN") for command in line.split("&&") if " -m venv " in command]

    assert "--without-pip" in made


def test_its_user_has_the_group_it_runs_as() -> None:
    """And owns the volume of the state."""
    (user,), (volume,) = told("USER"), told("VOLUME")
    (made,) = [line for line in told("RUN") if "useradd" in line]

    assert all(f"--{kind} {number}" in made for kind, number in zip(("uid", "gid"), user.split(":"), strict=True))
    assert f"install --directory --owner penstock --group penstock --mode 0750 {volume}" in made


def test_a_long_start_is_not_taken_for_death() -> None:
    """It has as long as on Kubernetes."""
    (check,) = told("HEALTHCHECK")
    manifest = (ROOT / "deploy" / "kubernetes" / "penstock.yaml").read_text(encoding="utf-8")
    (deployment,) = [each for each in yaml.safe_load_all(manifest) if each["kind"] == "Deployment"]
    probe = deployment["spec"]["template"]["spec"]["containers"][0]["startupProbe"]

    (minutes,) = re.findall(r"--start-period=(\d+)m ", check)
    assert int(minutes) * 60 == probe["periodSeconds"] * probe["failureThreshold"]


async def test_what_it_runs_is_a_command_of_ours() -> None:
    """With the arguments that stand there."""
    (entry,), (arguments,) = told("ENTRYPOINT"), told("CMD")
    program, *words = json.loads(entry) + json.loads(arguments)

    code, _, _ = await run(PROGRAMS / program, *words, "--help")

    assert code == 0


async def test_its_health_check_passes_while_a_daemon_lives_and_fails_without(tmp_path: Path) -> None:
    """Also where the admin port wants a token."""
    (check,) = told("HEALTHCHECK")
    _, _, code = json.loads(check.partition("CMD ")[2])

    async with Daemons(tmp_path) as daemons:
        daemon = await daemons.start()
        guarded = await daemons.start(admin={"token": "let-me-see"})
        ports = [port_of(daemon.admin), port_of(guarded.admin)]
        alive = [(await run(sys.executable, "-c", code.replace("9464", port)))[0] for port in ports]
    dead, *_ = await run(sys.executable, "-c", code.replace("9464", ports[0]))

    assert alive == [0, 0]
    assert dead != 0


@pytest.mark.long
@pytest.mark.timeout(600)
def test_the_steps_of_the_build_make_a_daemon(tmp_path: Path) -> None:
    """As a shell runs them, below a directory of the test's own; needs a package index."""
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "python"], check=True)
    path = os.pathsep.join([str(tmp_path / "python" / "bin"), os.environ["PATH"]])
    build = [(name, rest) for name, rest in INSTRUCTIONS[: INSTRUCTIONS.index(("USER", told("USER")[-1]))]]
    steps = [step(name, rest, tmp_path) for name, rest in build if "useradd" not in rest and "--from" not in rest]
    script = "\n".join([f"mkdir {tmp_path}/src {tmp_path}/opt", f"cd {tmp_path}/src", *filter(None, steps)])

    subprocess.run(["bash", "-ec", script], check=True, env={**os.environ, "PATH": path}, timeout=500)
    said = subprocess.run([tmp_path / "opt/penstock/bin/penstockd", "--version"], check=True, capture_output=True)

    assert said.stdout.startswith(b"penstockd ")


def step(name: str, rest: str, root: Path) -> str:
    """What a RUN or COPY of the build does, with `root` for the root; nothing for the others."""
    if name == "COPY":
        return f"cp -r {shlex.join(str(ROOT / word) for word in rest.split()[:-1])} ."
    return re.sub(r"(?<=[ '])/(?=wheels|opt)", f"{root}/", rest) if name == "RUN" else ""


def port_of(url: str) -> str:
    """The port of a URL."""
    return url.rpartition(":")[2]
