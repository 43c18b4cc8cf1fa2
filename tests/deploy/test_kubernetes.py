"""deploy/kubernetes: the manifests are valid, agree with themselves, and hold a configuration that is taken."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from fakes.certificates import self_signed
from peers import peer
from peers.live_daemon import PROGRAMS, run
from penstock import __version__
from penstockd.config import Settings, load
from penstockd.lifecycle import LAST_WORDS, LONGEST_CLOSE

FOLDER = Path(__file__).parents[2] / "deploy" / "kubernetes"
FILES = sorted(FOLDER.glob("*.yaml"))
MADE_UP = {
    "key-pepper": "a-pepper-that-is-made-up-for-this-test",
    "admin-token": "let-me-see",
    "database-url": "postgresql://penstock:made-up@postgres/penstock",
    "fast-api-key": "sk-made-up",
}


def manifests(file: Path) -> dict[str, Any]:
    """Every object of a file, by its kind, and the Services by their names."""
    objects = yaml.safe_load_all(file.read_text(encoding="utf-8"))
    return {each["metadata"]["name"] if each["kind"] == "Service" else each["kind"]: each for each in objects}


OBJECTS = manifests(FOLDER / "penstock.yaml")
SERVICES = ("penstock", "penstock-metrics")
POD = OBJECTS["Deployment"]["spec"]["template"]["spec"]
(CONTAINER,) = POD["containers"]
MOUNTS = {mount["mountPath"]: mount["name"] for mount in CONTAINER["volumeMounts"]}
VOLUMES = {volume["name"]: volume for volume in POD["volumes"]}


class Placed:
    """The configuration and the environment of the pod, its paths moved into a directory that holds made-up secrets."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        for path in MOUNTS:
            self._of(path).mkdir(parents=True)
        for name, text in MADE_UP.items():
            self._write(f"/run/secrets/penstock/{name}", text)
        cert, key = self_signed(peer("openssl"), directory)
        self._write("/run/secrets/penstock-tls/tls.crt", cert.read_text())
        self._write("/run/secrets/penstock-tls/tls.key", key.read_text())
        config = OBJECTS["ConfigMap"]["data"]["penstock.yaml"].replace("/run/", f"{directory}/run/")
        self._write("/etc/penstock/penstock.yaml", config)
        self.environ = {each["name"]: self._moved(each["value"]) for each in CONTAINER["env"]}

    def settings(self) -> Settings:
        """What the daemon would take from them."""
        return load(path=None, environ=self.environ, flags={})

    def _of(self, path: str) -> Path:
        return self._directory / path.lstrip("/")

    def _moved(self, value: str) -> str:
        return str(self._of(value)) if value.startswith("/") else value

    def _write(self, path: str, text: str) -> None:
        self._of(path).write_text(text, encoding="utf-8")
        self._of(path).chmod(0o440)


@pytest.fixture
def placed(tmp_path: Path) -> Placed:
    """The pod's files and environment."""
    return Placed(tmp_path)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_manifest_is_one(file: Path) -> None:
    """By the schemas of Kubernetes itself, which know every field."""
    checked = subprocess.run(
        [peer("kubernetes-validate"), "--strict", file], capture_output=True, text=True, check=False, timeout=50
    )

    assert checked.returncode == 0, checked.stdout + checked.stderr


async def test_the_configuration_is_taken(placed: Placed) -> None:
    """By `penstockd check`, in production, with the environment of the pod."""
    code, said, complaint = await run(PROGRAMS / "penstockd", "check", environ=placed.environ)

    assert (code, complaint) == (0, ""), said


def test_the_image_is_the_one_that_is_built() -> None:
    """By the name that the Dockerfile says, which is that of this version."""
    dockerfile = (FOLDER.parent / "container" / "Dockerfile").read_text(encoding="utf-8")

    assert CONTAINER["image"] == f"penstock:{__version__}"
    assert f"-t {CONTAINER['image']} ." in dockerfile


def test_every_port_is_the_one_that_the_daemon_listens_on(placed: Placed) -> None:
    """The container's, the Service's and the probes'."""
    settings = placed.settings()
    ports = {port["name"]: port["containerPort"] for port in CONTAINER["ports"]}
    served = {port["targetPort"]: port["port"] for name in SERVICES for port in OBJECTS[name]["spec"]["ports"]}
    probed = {CONTAINER[f"{kind}Probe"]["grpc"]["port"] for kind in ("startup", "liveness", "readiness")}

    health = settings.server.health_listen
    assert health is not None
    listens = {"grpc": settings.server.listen, "health": health, "metrics": settings.admin.listen}
    assert {name: str(listen).rpartition(":")[2] for name, listen in listens.items()} == {
        name: str(port) for name, port in ports.items()
    }
    assert served == {"grpc": ports["grpc"], "metrics": ports["metrics"]}
    assert probed == {ports["health"]}


def test_a_probe_asks_for_what_the_daemon_knows() -> None:
    """Readiness is the empty name, life is `liveness`."""
    asked = {
        kind: CONTAINER[f"{kind}Probe"]["grpc"].get("service", "") for kind in ("startup", "liveness", "readiness")
    }

    assert asked == {"startup": "liveness", "liveness": "liveness", "readiness": ""}


def test_a_pod_has_time_to_drain(placed: Placed) -> None:
    """For the delay, the calls, those that are cut, and the closing of what is behind them."""
    server = placed.settings().server

    needed = server.drain_delay + server.drain_timeout + 2 * LAST_WORDS + LONGEST_CLOSE
    assert POD["terminationGracePeriodSeconds"] >= needed


def test_a_draining_replica_is_out_of_rotation_before_it_refuses(placed: Placed) -> None:
    """Readiness is looked at more than once within the delay."""
    probe = CONTAINER["readinessProbe"]

    assert probe["periodSeconds"] * probe["failureThreshold"] * 2 <= placed.settings().server.drain_delay


def test_a_rollout_waits_for_callers_to_hear_of_the_new_replica() -> None:
    """gRPC looks a name up once in 30 s; else both addresses that it knows may drain at once."""
    assert OBJECTS["Deployment"]["spec"]["minReadySeconds"] >= 30


def test_prometheus_sees_replicas_that_are_not_ready_and_callers_do_not() -> None:
    """An alert that the ledger fails would else end as it begins, with its replica gone from the targets."""
    config = yaml.safe_load((FOLDER.parent / "prometheus" / "prometheus.yaml").read_text(encoding="utf-8"))
    ((scraped,),) = [found["names"] for job in config["scrape_configs"] for found in job["dns_sd_configs"]]

    assert OBJECTS[scraped]["spec"]["publishNotReadyAddresses"]
    assert "publishNotReadyAddresses" not in OBJECTS["penstock"]["spec"]


def test_the_images_own_settings_do_not_beat_the_file(placed: Placed) -> None:
    """The environment does, and the image sets some."""
    dockerfile = (FOLDER.parent / "container" / "Dockerfile").read_text(encoding="utf-8")
    (block,) = re.findall(r"^ENV PATH=\S+ \\\n((?:    .*\n)+)", dockerfile, re.MULTILINE)
    set_by_the_image = dict(re.findall(r"([A-Z_]+)=(\S+)", block))

    settings = load(path=None, environ=set_by_the_image | placed.environ, flags={})

    assert settings.server == placed.settings().server
    assert set(set_by_the_image) <= placed.environ.keys()


def test_what_is_mounted_is_described_and_every_secret_exists() -> None:
    """And none of them can be read by everybody, which production refuses."""
    secrets = {volume["secret"]["secretName"] for volume in VOLUMES.values() if "secret" in volume}
    example = manifests(FOLDER / "secret.example.yaml")["Secret"]

    assert set(MOUNTS.values()) == set(VOLUMES)
    assert secrets == {example["metadata"]["name"], "penstock-tls"}
    assert set(example["stringData"]) == set(MADE_UP)
    assert {volume["secret"]["defaultMode"] for volume in VOLUMES.values() if "secret" in volume} == {0o440}


def test_every_selector_finds_the_pods() -> None:
    """Of the Deployment, the Services and the disruption budget."""
    labels = OBJECTS["Deployment"]["spec"]["template"]["metadata"]["labels"]

    assert [OBJECTS[name]["spec"]["selector"] for name in SERVICES] == [labels, labels]
    assert OBJECTS["Deployment"]["spec"]["selector"]["matchLabels"] == labels
    assert OBJECTS["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels


def test_a_pod_may_do_nothing_but_serve() -> None:
    """No root, no new privileges, nothing to write but its state."""
    assert POD["securityContext"]["runAsNonRoot"]
    assert CONTAINER["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert [mount["mountPath"] for mount in CONTAINER["volumeMounts"] if not mount.get("readOnly")] == [
        next(each["value"] for each in CONTAINER["env"] if each["name"] == "PENSTOCK_STATE_DIR")
    ]
