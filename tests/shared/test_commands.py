"""The command lines: doctor, weights, report, demo, and what all commands have in common."""

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys

import pytest

from shared import steps
from shared.config import load_settings
from shared.report import doctor, page
from tests.conftest import for_long


@pytest.mark.parametrize("package", ["shared", *(step.package for step in steps.steps())])
def test_help_answers_in_half_a_second(package):
    resource = pytest.importorskip("resource")  # Unix
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    got = subprocess.run([sys.executable, "-m", package, "--help"], capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert got.returncode == 0
    assert "Usage" in got.stdout
    # Not by the clock: others may be using the machine.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.5


def test_nothing_heavy_is_imported_by_the_command_lines():
    heavy = ("torch", "transformers", "sentence_transformers", "anthropic", "matplotlib", "datasets")
    mains = [f"{package}.__main__" for package in ("shared", *(step.package for step in steps.steps()))]
    code = f"import sys, {', '.join(mains)}; "
    code += f"print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


def test_without_a_command_the_help_is_shown(command):
    got = command("shared")
    assert "Usage" in got.out
    assert not got.err


def test_output_is_utf8_whatever_the_terminal_says():
    environment = {**os.environ, "PYTHONIOENCODING": "cp1252", "LC_ALL": "C", "ROADMAP_CACHE_DIR": "猫"}
    got = subprocess.run([sys.executable, "-m", "shared", "config"], capture_output=True, env=environment)
    assert got.returncode == 0, got.stderr
    assert "猫" in got.stdout.decode("utf-8")


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not here")
def test_a_reader_that_has_seen_enough_ends_the_command_quietly():
    module = f"{sys.executable} -m shared config --json"
    for shell in (f"{module} | head -1; exit ${{PIPESTATUS[0]}}", f"{module} >&-"):
        got = subprocess.run(["bash", "-c", shell], capture_output=True, text=True)
        assert (got.returncode, got.stderr) == (0, "")


@pytest.mark.parametrize("args", [["nonsense"], ["config", "--sed", "1"], ["config", "--seed", "x"]])
def test_typos_end_in_one_line(refused, args):
    assert "--help" in refused("shared", *args)


def test_doctor_says_ok_when_everything_is_here(command):
    got = command("shared", "doctor", "--json")
    findings = json.loads(got.out)["findings"]
    assert got.code == 0
    assert {"state": "ok", "what": "Python", "detail": sys.version.split()[0]} in findings
    assert next(row for row in findings if row["what"] == "step1")["state"] == "ok"
    assert {"Python", "step1", "weights", "key", "accelerator", "memory", "disk"} <= {
        row["what"] for row in findings
    }
    assert "[ok]" in command("shared", "doctor").out


def of_all_steps():
    """What any step needs: a step that lacks what another one has, too, would be told so."""
    return {each.name for step in steps.steps() for each in steps.requirements(step.extra)}


def test_doctor_does_not_take_one_stray_package_for_the_step(command, monkeypatch):
    wanted = of_all_steps()
    version = importlib.metadata.version

    def only_numpy(name):
        if name in wanted - {"numpy"}:
            raise importlib.metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(doctor.importlib.metadata, "version", only_numpy)
    assert command("shared", "doctor").code == 0


def test_doctor_does_not_take_what_another_step_brings_for_the_step(command, monkeypatch):
    """matplotlib brings python-dateutil, which step 2 names as well."""
    own = {"anthropic", "babel", "httpx2", "jsonschema", "llguidance"}
    version = importlib.metadata.version

    def only_step1(name):
        if name in own:
            raise importlib.metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(doctor.importlib.metadata, "version", only_step1)
    findings = json.loads(command("shared", "doctor", "--json").out)["findings"]
    assert next(row for row in findings if row["what"] == "step2")["state"] == "optional"


def test_doctor_finds_models_in_your_own_folder(command, monkeypatch, tmp_path):
    model = load_settings().model
    (tmp_path / "mine" / model).mkdir(parents=True)
    monkeypatch.setenv("ROADMAP_MODELS_DIR", str(tmp_path / "mine"))
    findings = json.loads(command("shared", "doctor", "--json").out)["findings"]
    assert any(row["state"] == "ok" and row["detail"].startswith(f"{model}: folder") for row in findings)


def test_doctor_never_shows_a_key(command, monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-very-secret")
    got = command("shared", "doctor").out
    assert "ANTHROPIC_API_KEY set" in got
    assert "very-secret" not in got


@pytest.mark.parametrize(
    ("gone", "state", "code"),
    [(lambda name: name == "matplotlib", "missing", 1), (lambda name: True, "optional", 0)],
    ids=["one package", "the whole step"],
)
def test_doctor_fails_only_when_an_installed_step_cannot_run(command, monkeypatch, gone, state, code):
    wanted = of_all_steps()
    version = importlib.metadata.version

    def without(name):
        if name in wanted and gone(name):
            raise importlib.metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(doctor.importlib.metadata, "version", without)
    got = command("shared", "doctor", "--json")
    row = next(row for row in json.loads(got.out)["findings"] if row["what"] == "step1")
    assert (row["state"], got.code) == (state, code)
    assert 'pip install -c constraints.txt ".[step1]"' in row["detail"]


def test_doctor_names_a_package_that_is_too_old(monkeypatch):
    monkeypatch.setattr(doctor.importlib.metadata, "version", lambda name: "0.0.1")
    row = next(row for row in doctor.examine(load_settings()) if row.what == "step1")
    assert row.state == "missing"
    assert re.search(r"torch>=\S+ \(is 0\.0\.1\)", row.detail)


def test_every_step_has_a_demo_whose_first_run_is_the_main_one():
    assert [step.package for step in steps.steps()][:2] == ["step1_foundations", "step2_tools"]
    for step in steps.steps():
        runs = step.demo()
        assert [bool(run.get("main")) for run in runs] == [True] + [False] * (len(runs) - 1)


def test_bench_has_a_column_for_each_text_engine(command, refused, monkeypatch):
    pytest.importorskip("anthropic")
    pytest.importorskip("llguidance")
    monkeypatch.setattr(
        "shared.embedded.measure._start", lambda name, settings: 1.0
    )  # a new process each time
    table = command("shared", "bench", "--smoke").out
    assert table.splitlines()[0].split() == ["transformers"]
    assert "tokens/s written" in table
    assert "use 1 or more" in refused("shared", "bench", "--repeats", "0")


# --- the report page --------------------------------------------------------------------------------------


def test_commands_leave_records_and_the_page_binds_them(command, monkeypatch, tmp_path):
    monkeypatch.setenv("ROADMAP_REPORTS_DIR", "reports")
    assert command("step1_foundations", "attention", "a <b> & c", "--smoke").code == 0
    assert command("step1_foundations", "tokens", "a <b> & c", "--smoke").code == 0
    assert command("shared", "report").out == "reports/index.html\n"
    page = (tmp_path / "reports" / "index.html").read_text()
    assert "Step 1: foundations" in page
    assert "python -m step1_foundations tokens" in page
    assert "a &lt;b&gt; &amp; c" in page
    assert "<b>" not in page
    assert page.count('src="data:image/png;base64,') == 1
    addresses = re.findall(r"""(?:src|href)\s*=\s*["']?([^"'\s>]+)|url\(([^)]+)\)|https?://""", page)
    assert all(address[0].startswith("data:") for address in addresses)


def test_answers_to_several_questions_stand_side_by_side(command, monkeypatch, tmp_path):
    pytest.importorskip("anthropic")
    monkeypatch.setenv("ROADMAP_REPORTS_DIR", "reports")
    for question in ("What is the weather in Bangkok?", "What time is it in <b>Oslo</b>?"):
        assert command("step2_tools", question, "--smoke", "--max-tokens", "5").code in (0, 3)
    command("shared", "report")
    page = (tmp_path / "reports" / "index.html").read_text()
    assert page.count("<article>") == 2
    assert "ask: What is the weather in Bangkok?" in page
    assert "ask: What time is it in &lt;b&gt;Oslo&lt;/b&gt;?" in page


def test_nothing_is_recorded_unless_asked_for(command, tmp_path):
    command("step1_foundations", "tokens", "hi", "--smoke")
    assert not (tmp_path / "reports").exists()


def test_a_page_without_records_says_what_to_run(tmp_path):
    assert "make demo" in page.build(tmp_path).read_text()


def test_a_report_of_no_folder_or_a_broken_record_is_refused(refused, tmp_path):
    assert "is not a folder" in refused("shared", "report")
    (tmp_path / "reports" / "x").mkdir(parents=True)
    for content in ("{", "[]", "3"):
        (tmp_path / "reports" / "x" / "y.json").write_text(content)
        assert "is no record" in refused("shared", "report")


def test_a_reports_folder_that_cannot_be_written_is_refused_before_the_demo_runs(refused, tmp_path):
    (tmp_path / "file").write_text("")
    assert "cannot write" in refused("shared", "demo", "--out", "file/x", "--smoke")


@pytest.mark.real
@pytest.mark.parametrize(
    "flags", [["--smoke"], pytest.param([], marks=for_long("the whole demo takes five minutes"))]
)
def test_the_demo_runs_every_step_and_leaves_the_page(tmp_path, flags):
    """What `make demo` runs after its set-up."""
    got = subprocess.run(
        [sys.executable, "-m", "shared", "demo", "--out", "out", *flags],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert got.returncode == 0, got.stdout + got.stderr
    table = got.stdout[got.stdout.index("what ran") :]
    for step in steps.steps():
        for run in step.demo():
            assert run["title"] in table
    page = (tmp_path / "out" / "index.html").read_text()
    assert page.count("<article>") == sum(len(step.demo()) for step in steps.steps())
    assert page.count("data:image/png") >= 4  # of tokens, attention, the calls, the stages
