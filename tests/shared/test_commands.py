"""The command lines: doctor, bench, report, demo, and what all commands have in common."""

import collections
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from shared import steps
from shared.config import load_settings
from shared.report import demo, page, record
from tests.conftest import for_long

PACKAGES = ["shared", *(step.package for step in steps.steps())]


@pytest.mark.parametrize("package", PACKAGES)
def test_help(command, package):
    assert "Usage" in command(package, "--help").out
    assert "Usage" in command("shared").out


def test_the_command_lines_import_nothing_heavy():
    heavy = ("torch", "transformers", "sentence_transformers", "anthropic", "matplotlib", "datasets", "scipy")
    code = f"import sys, {', '.join(f'{package}.__main__' for package in PACKAGES)}; "
    code += f"print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


def test_output_is_utf8_whatever_the_terminal_says():
    environment = {**os.environ, "PYTHONIOENCODING": "cp1252", "LC_ALL": "C", "ROADMAP_CACHE_DIR": "猫"}
    got = subprocess.run([sys.executable, "-m", "shared", "config"], capture_output=True, env=environment)
    assert got.returncode == 0, got.stderr
    assert "猫" in got.stdout.decode("utf-8")


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not here")
def test_a_closed_pipe_ends_the_command_quietly():
    module = f"{sys.executable} -m shared config --json"
    for shell in (f"{module} | head -1; exit ${{PIPESTATUS[0]}}", f"{module} >&-"):
        got = subprocess.run(["bash", "-c", shell], capture_output=True, text=True)
        assert (got.returncode, got.stderr) == (0, "")


@pytest.mark.parametrize("args", [["nonsense"], ["demo", "--smok"], ["weights", "--verifyy"]])
def test_typos_end_in_one_line(refused, args):
    assert "--help" in refused("shared", *args)


# --- doctor -----------------------------------------------------------------------------------------------


@pytest.fixture
def examined(command):
    """Run the doctor: exit code, and (state, detail) of its findings by what they are about."""

    def run():
        got, found = command("shared", "doctor", "--json"), collections.defaultdict(list)
        for row in json.loads(got.out)["findings"]:
            found[row["what"]].append((row["state"], row["detail"]))
        return got.code, found

    return run


def test_doctor_says_ok_when_everything_is_here(command, examined):
    code, found = examined()
    assert code == 0
    assert found["Python"] == [("ok", sys.version.split()[0])]
    assert "ok" in {found[f"step{number}"][0][0] for number in range(1, 6)}  # CI installs one step alone
    assert {"weights", "key", "accelerator", "memory", "disk"} < set(found)
    assert "[ok]" in command("shared", "doctor").out


def test_doctor_lists_what_a_step_lacks_and_fails_where_a_package_is_too_old(examined, monkeypatch):
    version = importlib.metadata.version

    def without(name):
        if name in ("accelerate", "gguf"):
            raise importlib.metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(importlib.metadata, "version", without)
    code, found = examined()
    [(state, detail)] = found["step1"]
    assert (code, state) == (0, "optional")
    assert re.search(r"not installed: accelerate>=\S+, .*gguf>=\S+.* \(pip install -c .*\[step1\]", detail)
    monkeypatch.setattr(importlib.metadata, "version", lambda _name: "0.0.1")
    code, found = examined()
    assert (code, found["step1"][0][0]) == (1, "wrong")
    assert re.search(r"torch>=\S+ \(is 0\.0\.1\)", found["step1"][0][1])


def test_doctor_finds_models_in_your_own_folder(examined, monkeypatch, tmp_path):
    model = load_settings().model
    (tmp_path / "mine" / model).mkdir(parents=True)
    monkeypatch.setenv("ROADMAP_MODELS_DIR", str(tmp_path / "mine"))
    assert ("ok", f"{model}: folder {tmp_path / 'mine' / model}") in examined()[1]["weights"]


def test_doctor_never_shows_a_key(command, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_TOKEN", "hf-very-secret")
    (tmp_path / ".env").write_text("ANTHROPIC_API_KEY=sk-very-secret")
    got = command("shared", "doctor").out
    assert "ANTHROPIC_API_KEY: set" in got
    assert "HF_TOKEN: set" in got
    assert "very-secret" not in got


# --- records and the page ---------------------------------------------------------------------------------

RECORD = {  # as earlier versions wrote it
    "package": "step1_foundations",
    "name": "attention",
    "command": "python -m step1_foundations attention 'a b'",
    "headline": "head 3.1 looks back one token",
    "seconds": 1.5,
    "machine": "a machine",
    "picture": "attention.png",
    "facts": {"command": "step1_foundations attention", "layers": 30},
}


def test_commands_leave_records_of_which_the_page_is_made(command, monkeypatch, tmp_path):
    for path, content in ((".json", json.dumps(RECORD).encode()), (".png", b"PNG")):
        file = record.writable(tmp_path / "reports" / "step1_foundations" / f"attention{path}")
        file.write_bytes(content)
    facts = {"command": "step2_tools ask", "headline": "a <b> & c", "rows": ["long"] * 200}
    record.record(facts)  # leaves nothing: no folder is set
    monkeypatch.setenv("ROADMAP_REPORTS_DIR", "reports")
    monkeypatch.setattr(sys, "argv", ["step2_tools", "two words"])
    for question in ("Is it hot?", "Is it <b>cold</b>?"):  # each gets its own record
        record.record(facts | {"question": question})

    assert command("shared", "report").out == f"{Path('reports/index.html')}\n"
    html = (tmp_path / "reports" / "index.html").read_text()
    assert html.count("<article ") == 3
    for text in ("Step 1: foundations", "layers", "ask: Is it hot?", "a &lt;b&gt; &amp; c", "&lt;b&gt;cold"):
        assert text in html
    assert "<b>" not in html
    assert "long" not in html
    targets = re.findall(r'href="#([^"]+)"', html)  # the contents on top
    assert len(targets) == 2 + 3  # steps and records
    assert all(html.count(f'id="{target}"') == 1 for target in targets)
    addresses = re.findall(r"""(?:src|href)\s*=\s*["']?([^"'\s>#]+)|url\(([^)]+)\)|https?://""", html)
    assert addresses == [("data:image/png;base64,UE5H", "")]  # nothing is loaded from elsewhere


def test_a_page_without_records_says_what_to_run(refused, tmp_path):
    assert "is not a folder" in refused("shared", "report")
    assert "make demo" in page.build(tmp_path).read_text()


@pytest.mark.parametrize("content", ["{", "[]", "3", '{"package": "step1_foundations"}'])
def test_a_broken_record_is_named(refused, tmp_path, content):
    record.writable(tmp_path / "reports" / "x" / "y.json").write_text(content)
    assert "y.json is not a command's record" in refused("shared", "report")


# --- the demo ---------------------------------------------------------------------------------------------


def test_a_reports_folder_that_cannot_be_written_is_refused_before_the_demo_runs(refused, tmp_path):
    (tmp_path / "file").write_text("")
    assert "cannot write" in refused("shared", "demo", "--out", "file/x", "--smoke")


FAKE = """
import sys
from shared.cli import emit
if sys.argv[1] != "works":
    sys.exit(int(sys.argv[1]))
emit({"command": "step9_fake works", "headline": " ".join(sys.argv[1:])}, lambda _: None, as_json=False)
"""


def test_the_demo_fills_the_page_and_stops_at_ctrl_c_only(command, monkeypatch, tmp_path):
    step = steps.Step("step9_fake", tmp_path / "step9_fake")
    step.folder.mkdir()
    (step.folder / "__main__.py").write_text(FAKE)
    runs = [f'[[run]]\ntitle = "{arg}"\nargs = ["{arg}"]\n' for arg in ("1", "works", "0", "130", "never")]
    (step.folder / "demo.toml").write_text("".join(runs))
    monkeypatch.setattr(demo, "steps", lambda: [step])
    (tmp_path / ".env").write_text("ROADMAP_REPORTS_DIR=elsewhere")  # --out wins

    got = command("shared", "demo", "--out", "X", "--smoke")
    assert (got.code, got.err) == (130, "\nstopped\n")
    table = got.out[got.out.index("what ran") :]
    for text in ("failed with exit code 1", "works --smoke", "stopped"):
        assert text in table
    assert "never" not in table
    assert table.count("works --smoke") == 1  # "0" left no record: it has no other command's result
    assert (tmp_path / "X" / "index.html").read_text().count("<article ") == 1
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.real
@pytest.mark.parametrize(
    "flags", [["--smoke"], pytest.param([], marks=for_long("the whole demo takes five minutes"))]
)
def test_the_demo_runs_every_step(tmp_path, flags):
    """What `make demo` runs after its set-up."""
    got = subprocess.run(
        [sys.executable, "-m", "shared", "demo", "--out", "out", *flags],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert got.returncode == 0, got.stdout + got.stderr
    table = got.stdout[got.stdout.index("what ran") :]
    titles = [run["title"] for step in steps.steps() for run in step.demo()]
    assert all(title in table for title in titles)
    html = (tmp_path / "out" / "index.html").read_text()
    assert html.count("<article ") == len(titles)
    assert html.count("data:image/png") >= 4  # of tokens, attention, the calls, the stages
