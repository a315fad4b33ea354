"""The house itself: what must hold of its files, and stays in step when a package is added."""

import importlib
import re
import subprocess
import sys
import tomllib
import urllib.request
import zipfile
from html import unescape
from itertools import chain

import pytest
import typer
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from docs.drawings import demo_terminal
from shared import __version__
from tests.conftest import ROOT, SLOW

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
STEPS = sorted(path.name for path in ROOT.glob("step[0-9]_*") if (path / "__init__.py").exists())
PACKAGES = ["shared", *STEPS, "classroom"]
CHECKED = [*PACKAGES, "docs"]  # build tools of this repository: checked as the packages are, and not shipped


def test_every_package_is_shipped_checked_and_has_its_layer():
    assert PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == PACKAGES
    assert PROJECT["tool"]["pyrefly"]["project-includes"] == CHECKED
    contracts = PROJECT["tool"]["importlinter"]
    assert set(contracts["root_packages"]) == {*CHECKED, "tests"}
    layers = ""
    for contract in contracts["contracts"]:
        layers += " ".join(contract.get("layers", [])) + " "
    assert all(package in layers for package in CHECKED)


def test_every_step_has_a_lesson_a_demo_and_an_extra():
    for package in STEPS:
        assert (ROOT / package / "README.md").stat().st_size > 1000
        commands = typer.main.get_command(importlib.import_module(f"{package}.__main__").app).commands
        for run in tomllib.loads((ROOT / package / "demo.toml").read_text())["run"]:
            name, *args = [*run["args"], "--smoke"]
            commands[name].make_context(name, args)  # an unknown flag is an error
            assert package != "step2_tools" or "--offline" in run["args"]
        assert package.split("_")[0] in PROJECT["project"]["optional-dependencies"]


def test_the_first_picture_shows_commands_of_the_demo():
    picture = (ROOT / "docs" / "pictures" / "demo.svg").read_text(encoding="utf-8")
    shown = [unescape(line) for line in re.findall(r">\$ ([^<]+)</text>", picture)]
    assert shown == [demo_terminal.command_of(step, title) for step, title, _ in demo_terminal.RUNS]


def test_every_requirement_has_a_floor_that_the_tested_version_meets():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert [line for line in lines if not re.fullmatch(r"#.*|[\w.-]+==[\w.]+", line)] == []
    pinned = dict(line.split("==") for line in lines if not line.startswith("#"))
    pinned = {canonicalize_name(name): version for name, version in pinned.items()}
    extras = PROJECT["project"]["optional-dependencies"].values()
    for requirement in map(Requirement, [*PROJECT["project"]["dependencies"], *chain(*extras)]):
        if requirement.name != "llm-roadmap":
            assert ">=" in str(requirement.specifier), f"{requirement} has no floor"
            assert requirement.specifier.contains(pinned[canonicalize_name(requirement.name)]), requirement


def test_the_wheel_has_all_that_the_packages_have(tmp_path):
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path], cwd=ROOT, check=True
    )
    built = set(zipfile.ZipFile(next(tmp_path.glob("*.whl"))).namelist())
    tracked = subprocess.run(
        ["git", "ls-files", *PACKAGES], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert set(tracked.stdout.split()) <= built
    folders = {name.split("/")[0] for name in built if ".dist-info/" not in name}
    assert folders == set(PACKAGES)


def test_slow_files_are_there():
    named = []
    for step, names in SLOW.items():
        named += [ROOT / "tests" / step / f"test_{name}.py" for name in names.split()]
    assert [str(path) for path in named if not path.exists()] == []


def test_ci_tests_every_step_on_the_oldest_and_the_newest_python():
    supported = SpecifierSet(PROJECT["project"]["requires-python"])
    pythons = [f"3.{minor}" for minor in range(9, 30) if f"3.{minor}" in supported]
    prefix = "Programming Language :: Python :: "
    classifiers = [name for name in PROJECT["project"]["classifiers"] if name.startswith(prefix)]
    assert [prefix + python for python in pythons] == classifiers
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    matrix = workflow["jobs"]["step"]["strategy"]["matrix"]
    assert matrix["step"] == [package.split("_")[0] for package in STEPS]
    assert matrix["python"] == [pythons[0], pythons[-1]]
    assert f"Python {pythons[0]} to {pythons[-1]}" in (ROOT / "Makefile").read_text()


def test_the_network_is_out_of_reach_for_tests_and_for_what_they_start():
    with pytest.raises(OSError, match=r"tests may not reach example\.com"):
        urllib.request.urlopen("https://example.com")
    code = "import socket; socket.create_connection(('192.0.2.1', 80))"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "tests may not reach 192.0.2.1" in child.stderr


def test_citation_and_changelog_name_the_version_and_the_day_of_its_release():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == __version__
    unreleased, newest, *_ = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert unreleased == "Unreleased"
    assert newest == f"{__version__} - {citation['date-released']}"
