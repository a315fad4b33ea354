"""The command lines: settings, demo, report page, and what all commands have in common."""

import importlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import anthropic
import httpx2
import pytest
import typer

from shared import cli, launch, steps
from shared.errors import UserError
from shared.report import demo, page, record
from tests.conftest import ROOT, for_long

PACKAGES = ["shared", "classroom", *steps.steps()]


def test_without_arguments_the_help_is_shown(command):
    assert "Usage" in command("shared").out


@pytest.mark.parametrize(
    "module", [*PACKAGES, "classroom.learner", *(f"{each}.minimal" for each in steps.steps())]
)
def test_a_python_without_the_libraries_is_one_line_and_exit_code_2(module):
    """As with the system's Python, when .venv is not active: -S leaves out site-packages."""
    command = [sys.executable, "-S", "-m", module]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith(f"error: typer is not installed in this Python ({sys.executable}): ")
    assert "run `make install`, then `" in result.stderr
    assert "activate`" in result.stderr


def test_packages_can_be_imported_without_the_libraries():
    """A program that only uses a part which needs none is not ended."""
    code = f"import {', '.join(PACKAGES)}; print('imported')"
    command = [sys.executable, "-S", "-c", code]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.stdout == "imported\n", result.stderr


def every_command(command, words=()):
    """The command, and those below it if it is a group."""
    yield words, command
    for name, each in getattr(command, "commands", {}).items():
        yield from every_command(each, (*words, name))


@pytest.mark.parametrize("package", PACKAGES)
def test_every_command_and_every_flag_has_help(command, package):
    app = importlib.import_module(f"{package}.__main__").app
    for words, each in every_command(typer.main.get_command(app)):
        got = command(package, *words, "--help")
        assert (got.code, each.help.split(".")[0][:40] in " ".join(got.out.split())) == (0, True), words
        assert [flag.name for flag in each.params if not flag.help] == [], words


def test_the_command_lines_import_nothing_heavy():
    heavy = (
        "torch transformers sentence_transformers anthropic matplotlib datasets scipy numpy pydantic yaml "
    )
    heavy += "peft trl rich.table chromadb langchain_core fastapi httpx2 sqlalchemy uvicorn pytest jinja2"
    code = f"import sys, {', '.join(f'{package}.__main__' for package in PACKAGES)}; "
    code += f"print([name for name in {heavy.split()} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


def test_output_is_utf8_whatever_the_terminal_says():
    environment = {**os.environ, "PYTHONIOENCODING": "cp1252", "LC_ALL": "C", "ROADMAP_CACHE_DIR": "猫"}
    got = subprocess.run([sys.executable, "-m", "shared", "config"], capture_output=True, env=environment)
    assert "猫" in got.stdout.decode("utf-8"), got.stderr


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not here")
def test_a_closed_pipe_ends_the_command_quietly():
    module = f"{sys.executable} -m shared config"
    for shell in (f"{module} | head -1; exit ${{PIPESTATUS[0]}}", f"{module} >&-"):
        got = subprocess.run(["bash", "-c", shell], capture_output=True, text=True)
        assert (got.returncode, got.stderr) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is not here")
def test_a_full_disk_ends_in_one_line():
    with Path("/dev/full").open("w") as full:
        args = [sys.executable, "-m", "shared", "config"]
        got = subprocess.run(args, stdout=full, stderr=subprocess.PIPE, text=True)
    assert (got.returncode, got.stderr) == (2, "error: No space left on device\n")


@pytest.fixture
def app():
    """An app whose command `ask` may be left out."""
    made = cli.new_app("A test.", default="ask")

    @made.command()
    def ask(question: str = typer.Argument("nothing"), loud: bool = False):
        print("ask", question, loud)

    @made.command()
    def search(query: str):
        if query == "offline":
            raise anthropic.APIConnectionError(request=httpx2.Request("POST", "http://localhost"))
        if query == "shut":
            raise PermissionError(13, "Permission denied", "a.md")
        if query == "long":
            Path("a" * 300).read_text()
        if query == "unwritten":
            raise NotImplementedError("exercise 9.1: Double")
        if query == "bug":
            raise NotImplementedError("a bug of ours")
        if query == "extra":
            raise ModuleNotFoundError(name="psycopg")
        import no_such_package  # noqa: F401

    return made


MISSING = "error: psycopg is not installed: run pip install -c constraints.txt"


@pytest.mark.parametrize(
    ("args", "out", "err"),
    [
        ([], "ask nothing False\n", ""),
        (["Is it hot?"], "ask Is it hot? False\n", ""),
        (["--loud", "hot\udcff"], "ask hot? True\n", ""),
        (["serch"], "", "error: No such command 'serch'. Did you mean 'search'? (see app --help)\n"),
        (["search", "x", "--lod"], "", "error: No such option: --lod (see app --help)\n"),
        (["search", "x"], "", "error: no_such_package is not installed: run pip install"),
        (["search", "extra"], "", f"{MISSING} '.[postgres]'\n"),
        (["search", "shut"], "", "error: a.md: Permission denied\n"),
        (["search", "long"], "", f"error: {'a' * 300}: File name too long\n"),
        (["search", "offline"], "", "error: the API can't be reached (no connection): is it running"),
    ],
)
def test_the_default_command_needs_no_name_but_a_typo_is_an_error(app, capsys, args, out, err):
    with pytest.raises(SystemExit):
        launch.run(app, "app", args)
    got = capsys.readouterr()
    assert got.out == out
    assert got.err.startswith(err)


def test_an_exercise_that_is_not_written_yet_is_one_line_with_its_place(app, capsys, monkeypatch, tmp_path):
    """In a starter, a command may need an exercise."""
    lines = Path(__file__).read_text("utf-8").splitlines()
    line = 1 + next(i for i, text in enumerate(lines) if 'NotImplementedError("exercise 9.1' in text)
    for folder, file in ((ROOT, "tests/shared/test_commands.py"), (tmp_path, __file__)):
        monkeypatch.chdir(folder)
        with pytest.raises(SystemExit) as ended:
            launch.run(app, "app", ["search", "unwritten"])
        assert ended.value.code == 2
        assert capsys.readouterr().err == f"error: exercise 9.1 is not written yet: {file}:{line}\n"
    with pytest.raises(NotImplementedError, match="a bug"):
        launch.run(app, "app", ["search", "bug"])


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


def test_commands_leave_records_of_which_the_page_is_made(monkeypatch, tmp_path):
    for path, content in ((".json", json.dumps(RECORD).encode()), (".png", b"PNG")):
        file = record.ensure_writable(tmp_path / "reports" / "step1_foundations" / f"attention{path}")
        file.write_bytes(content)
    facts = {"command": "step2_tools ask", "headline": "a <b> & c", "rows": ["long"] * 200}
    record.record(facts)  # leaves nothing: no folder is set
    monkeypatch.setenv("ROADMAP_REPORTS_DIR", "reports")
    monkeypatch.setattr(sys, "argv", ["step2_tools", "two words"])
    for question in ("Is it hot?", "Is it <b>cold</b>?"):  # each gets its own record
        record.record(facts | {"question": question})

    page.build(tmp_path / "reports")
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


def test_a_page_without_records_says_what_to_run(tmp_path):
    assert "make demo" in page.build(tmp_path).read_text()


@pytest.mark.parametrize("content", ["{", "[]", '{"package": "step1_foundations"}'])
def test_a_broken_record_is_named(tmp_path, content):
    record.ensure_writable(tmp_path / "x" / "y.json").write_text(content)
    with pytest.raises(UserError, match=r"y\.json is not a command's record"):
        page.build(tmp_path)


@pytest.mark.parametrize(
    ("stdin", "text"), [(io.TextIOWrapper(io.BytesIO(b"caf\xe9?"), "utf-8"), "caf\ufffd?"), (None, "default")]
)
def test_any_bytes_may_be_piped_and_standard_input_may_be_closed(monkeypatch, stdin, text):
    monkeypatch.setattr(sys, "stdin", stdin)
    app, found = cli.new_app("An app."), []

    @app.command()
    def ask():
        found.append(cli.read_argument(None, "default"))

    with pytest.raises(SystemExit):
        launch.run(app, "app", [])
    assert found == [text]


# --- the demo ---------------------------------------------------------------------------------------------


def test_a_reports_folder_that_cannot_be_written_is_refused_before_the_demo_runs(refused, tmp_path):
    (tmp_path / "file").write_text("")
    assert "cannot write" in refused("shared", "demo", "--out", "file/x", "--smoke")
    record.ensure_writable(tmp_path / "x" / "y.json").write_text("[]")
    assert "y.json is not a command's record: move it" in refused("shared", "demo", "--out", ".", "--smoke")


FAKE = """
import sys
from pathlib import Path
from shared.cli import emit
if sys.argv[1] != "works":
    sys.exit(int(sys.argv[1]))
emit({"command": "step9_fake works", "headline": " ".join(sys.argv[1:])}, lambda *_: None, as_json=False)
"""


def test_the_demo_fills_the_page_and_stops_at_ctrl_c_only(command, monkeypatch, tmp_path):
    folder = tmp_path / "step9_fake"
    folder.mkdir()
    (folder / "__main__.py").write_text(FAKE)
    runs = [f'[[run]]\ntitle = "{arg}"\nargs = ["{arg}"]\n' for arg in ("1", "works", "0", "130", "never")]
    (folder / "demo.toml").write_text("".join(runs))
    monkeypatch.setattr(demo, "steps", lambda: {"step9_fake": folder})
    monkeypatch.setattr(demo, "PRELOAD", [])  # the fake step needs no large library
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / ".env").write_text("ROADMAP_REPORTS_DIR=elsewhere")  # --out wins

    got = command("shared", "demo", "--out", "X", "--smoke")
    assert (got.code, got.err) == (130, "\nstopped\n")
    table = got.out[got.out.index("what ran") :]
    for text in ("ended with exit code 1", "works --smoke", "ended with exit code 130"):
        assert text in table
    assert "never" not in table
    assert table.count("works --smoke") == 1  # "0" left no record: it has no other command's result
    assert (tmp_path / "X" / "index.html").read_text().count("<article ") == 1
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.real
@pytest.mark.parametrize("flags", [["--smoke"], pytest.param([], marks=for_long("the whole demo: minutes"))])
def test_the_demo_runs_every_step(tmp_path, flags):
    """What `make demo` runs after its set-up."""
    args = [sys.executable, "-m", "shared", "demo", "--out", "out", *flags]
    got = subprocess.run(args, capture_output=True, text=True)
    assert got.returncode == 0, got.stdout + got.stderr
    table = got.stdout[got.stdout.index("what ran") :]
    files = [folder / "demo.toml" for folder in steps.steps().values()]
    titles = [run["title"] for file in files for run in tomllib.loads(file.read_text())["run"]]
    assert all(title in table for title in titles)
    html = (tmp_path / "out" / "index.html").read_text()
    assert html.count("<article ") == len(titles)
    assert html.count("data:image/png") >= 3  # embeddings, attention, logit lens
