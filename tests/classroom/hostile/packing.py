"""Hostile folders and archives: links, bombs, names that lead outside, files that were not asked for."""

import contextlib
import gzip
import io
import os
import socket
import struct
import tarfile
import zipfile
import zlib
from functools import partial
from pathlib import Path

from tests.classroom.hostile.corpus import FILES, ROOT, WRONG, case, reference, starter

NAMES = [FILES[name] for name in ("fuse", "metrics", "chunk")]
SHOUT = "import os\nfor path in CANARIES: open(path, 'w').write('run')\n"


def wrong(at):
    """Honest, but for 3.1."""
    return at.honest(reference("fuse") + WRONG)


def honest_files(names=NAMES):
    return {name: reference(Path(name).stem) for name in names}


# --- files of odd shape -----------------------------------------------------------------------------------

F = reference("fuse")
ODD = {  # fuse.py, and the expected cause
    "windows_line_ends": (F.replace("\n", "\r\n"), ""),
    "byte_order_mark": (b"\xef\xbb\xbf" + F.encode(), ""),
    "latin_1_that_does_not": (F.encode() + "x = 'f\u00fcr'\n".encode("latin-1"), r"SyntaxError.*utf-8"),
    "utf_16": (F.encode("utf-16"), r"SyntaxError"),
    "null_bytes": (F.replace("fused", "fu\0sed"), r"SyntaxError.*null bytes"),
    "syntax_error": (F + "\ndef rrf(:\n", r"SyntaxError.*\(\w+\.py:\d+\)"),
    "too_many_brackets": (f"x = {'(' * 5000}1{')' * 5000}\n{F}", r"Error|nested"),
    "a_line_that_breaks_the_compiler": (
        f"x = {'-' * 100_000}1\ny = {'+1' * 100_000}\n",
        r"RecursionError|SyntaxError|MemoryError|SIGSEGV|took too long",
    ),
    "empty_file": ("", r"AttributeError.*has no attribute 'rrf'"),
}


def odd(fuse, at):
    at.honest(fuse)


for name, (fuse, cause) in ODD.items():
    case(cause, name=name, right=not cause)(partial(odd, fuse))


@case(r"^exercise 3\.1: ", "not attempted", others=False)
def the_starter(at):
    """Nothing done yet."""
    for name, path in FILES.items():
        at.write(path, starter(name))


# --- files that were not asked for ------------------------------------------------------------------------

PLUGIN = """
import pytest, _pytest.runner
@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    report.outcome = "passed"
    return report
pytest.fail = lambda *args, **kwargs: None
"""
MANIFEST = """
{"schema": "classroom/assignment/v1", "step": "step3_rag", "points": {"3.1": 1000}, "variant": 99,
 "files": {"step3_rag/retrieve/fuse.py": "0"}, "exercises": [{"id": "3.1", "points": 1000, "score": 1000}],
 "score": 100, "safe": true}
"""
MODULES = ["json", "random", "numpy", "os", "typing", "base64", "pytest", "re", "asyncio", "pydantic"]
CLASSROOM = ["worker", "wire", "arrays", "same", "submission", "__init__", "__main__", "drivers/step3"]
SITE = ("hostile.pth", "site-packages/hostile.pth", ".venv/lib/python3.11/site-packages/x.pth")
UNASKED = {  # SHOUT stands for code that would leave its mark, were it run by the grader
    "conftest_and_settings_of_pytest": {
        **dict.fromkeys(("conftest.py", "tests/conftest.py", "step3_rag/conftest.py"), SHOUT + PLUGIN),
        "plugin.py": SHOUT + PLUGIN,
        "pytest.ini": "[pytest]\naddopts = -p plugin --co\npython_files = *.py\n",
        "pyproject.toml": '[tool.pytest.ini_options]\naddopts = "-p plugin"\npythonpath = ["."]\n',
        "tox.ini": "[pytest]\naddopts = -p plugin\n",
        "setup.cfg": "[tool:pytest]\naddopts = -p plugin\n",
    },
    "files_that_python_runs_by_itself": {
        **dict.fromkeys(("sitecustomize.py", "usercustomize.py", "step3_rag/__init__.py"), SHOUT),
        **dict.fromkeys(SITE, f"import os; {SHOUT.splitlines()[1]}"),
        "__init__.py": SHOUT,
        "pyvenv.cfg": "home = .\n",
    },
    "modules_named_as_others": {
        **{f"{name}.py": SHOUT for name in MODULES},
        **{f"step3_rag/retrieve/{name}.py": SHOUT for name in MODULES},
        "numpy/__init__.py": SHOUT,
    },
    "a_grader_of_its_own": {
        f"classroom/{name}.py": f"{SHOUT}def difference(*args, **kwargs): return None\n" for name in CLASSROOM
    },
    "tests_and_manifest_rewritten": {
        "tests/test_public.py": "def test_rrf(): pass\n",
        "tests/expected.json": '{"schema": "classroom/expected/v1", "variant": 0, "tests": {}}',
        "classroom.json": MANIFEST,
    },
    "names_that_say_something": dict.fromkeys(
        ("a\nb.py", "::error::x", "\x1b[31mred", "<script>alert(1)<", "-rf", "$(id)"), "x"
    ),
}


def unasked(files, at):
    wrong(at)
    for path, content in files.items():
        at.write(path, content.replace("CANARIES", repr(at.facts["canaries"])))


for name, files in UNASKED.items():
    case(r"is missing|too much", "failed", name)(partial(unasked, files))


@case(r"is missing|too much", "failed")
def compiled_beside_the_source(at):
    """A cache of byte code that is right, for a source that is not."""
    import importlib.util
    import marshal

    wrong(at)
    source = at.ada / FILES["fuse"]
    code = marshal.dumps(compile(reference("fuse"), str(source), "exec"))
    facts = source.stat()
    head = importlib.util.MAGIC_NUMBER + struct.pack("<III", 0, int(facts.st_mtime), facts.st_size)
    for name in ("step3_rag/retrieve/__pycache__/fuse.cpython-311.pyc", "step3_rag/retrieve/fuse.pyc"):
        at.write(name, head + code)


# --- what is not a regular file ---------------------------------------------------------------------------


def place_of_fuse(at):
    """Where fuse.py would be, in an honest submission without it."""
    at.honest()
    (at.ada / FILES["fuse"]).unlink()
    return at.ada / FILES["fuse"]


@case(r"fuse\.py was refused: fuse\.py is a symbolic link", "not attempted")
def symbolic_link_to_the_reference(at):
    place_of_fuse(at).symlink_to(ROOT / FILES["fuse"])


@case(r"was refused: step3_rag is a symbolic link", "not attempted", others=False)
def symbolic_link_to_its_folder(at):
    at.ada.mkdir()
    (at.ada / "step3_rag").symlink_to(ROOT / "step3_rag")


@case(r"fuse\.py was refused: it is not an ordinary file", "not attempted")
def pipe_for_a_file(at):
    os.mkfifo(place_of_fuse(at))


@case(r"fuse\.py was refused: it is not an ordinary file", "not attempted")
def socket_for_a_file(at):
    with contextlib.chdir(place_of_fuse(at).parent), socket.socket(socket.AF_UNIX) as made:
        made.bind("fuse.py")  # names of sockets are short


@case(r"fuse\.py was refused: it is not an ordinary file", "not attempted")
def folder_for_a_file(at):
    place_of_fuse(at)
    at.write("step3_rag/retrieve/fuse.py/fuse.py", reference("fuse"))


@case(r"is missing|too much", "failed")
def a_submission_whose_name_says_something(at):
    wrong(at)
    path = at.folder / "ada\n::error::x\x1b[31m <b> $(id)"
    at.ada.rename(path)
    return path


@case(r"is missing|too much", "failed")
def a_thousand_folders(at):
    wrong(at)
    for number in range(1000):
        (at.ada / f"{number:04}" / "step3_rag").mkdir(parents=True)


# --- archives ---------------------------------------------------------------------------------------------


@case(r"fuse\.py is missing", "not attempted")
def names_that_lead_outside(at):
    files, right = honest_files(NAMES[1:]), reference("fuse")
    outside = {f"../../{'../' * n}{at.facts['root']}/step3_rag/retrieve/fuse.py": WRONG for n in range(8)}
    outside |= dict.fromkeys(at.facts["canaries"], "mine")
    outside |= {"../step3_rag/retrieve/fuse.py": right, "C:\\step3_rag\\fuse.py": right}
    return at.zipped(files | outside)


@case(r"fuse\.py was refused: it is larger than", "not attempted")
def a_large_bomb(at):
    return at.zipped(honest_files() | {"step3_rag/retrieve/fuse.py": bytes(20 << 20)})


@case(r"fuse\.py was refused", "not attempted")
def a_bomb_that_says_that_it_is_small(at):
    """Sizes as declared are changed afterwards."""
    path = at.zipped(honest_files() | {"step3_rag/retrieve/fuse.py": bytes(64 << 20)})
    content = path.read_bytes().replace(struct.pack("<I", 64 << 20), struct.pack("<I", 500))
    path.write_bytes(content)
    return path


@case(r"fuse\.py was refused: it is encrypted", "not attempted")
def an_encrypted_archive(at):
    path = at.zipped(honest_files())
    content = bytearray(path.read_bytes())
    local, central = content.find(b"PK\x03\x04"), content.find(b"PK\x01\x02")
    content[local + 6] |= 1
    content[central + 8] |= 1
    path.write_bytes(content)
    return path


@case(r"fuse\.py was refused: it is a symbolic link", "not attempted")
def a_link_in_an_archive(at):
    path = at.zipped(honest_files(NAMES[1:]))
    entry = zipfile.ZipInfo(NAMES[0])
    entry.create_system, entry.external_attr = 3, 0o120777 << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(entry, str(ROOT / NAMES[0]))
    return path


@case(r"nothing could be read: the archive has more than 5,000 entries", "not attempted", others=False)
def ten_thousand_entries(at):
    return at.zipped(honest_files() | {f"{n}.py": "" for n in range(10_000)}, method=zipfile.ZIP_STORED)


@case(r"fuse\.py was refused: it is damaged", "not attempted")
def an_archive_with_a_wrong_sum(at):
    path = at.zipped(honest_files(), method=zipfile.ZIP_STORED)
    path.write_bytes(path.read_bytes().replace(b"### BEGIN SOLUTION 3.1", b"### BEGIN SOLUTION 3.7", 1))
    return path


@case(r"fuse\.py was refused: it is a link", "not attempted")
def links_in_a_tar(at):
    """A hard link to the reference, and a symbolic one beside it."""
    entries = []
    for name, kind in ((NAMES[0], tarfile.LNKTYPE), ("beside.py", tarfile.SYMTYPE)):
        entries.append(tarfile.TarInfo(name))
        entries[-1].type, entries[-1].linkname = kind, str(ROOT / NAMES[0])
    return at.tarred(honest_files(NAMES[1:]), *entries)


@case(r"fuse\.py was refused: it is not an ordinary file", "not attempted")
def a_device_in_a_tar(at):
    entry = tarfile.TarInfo(NAMES[0])
    entry.type, entry.devmajor, entry.devminor = tarfile.CHRTYPE, 1, 5  # /dev/zero
    return at.tarred(honest_files(NAMES[1:]), entry, mode="w")


@case(r"nothing could be read: the archive holds more than 64 MiB", "not attempted", others=False)
def a_bomb_of_gzip(at):
    path = at.folder / "ada.tar.gz"
    packer = zlib.compressobj(9, wbits=31)
    path.write_bytes(b"".join(packer.compress(bytes(1 << 24)) for _ in range(5)) + packer.flush())
    return path


@case(r"nothing could be read: (a damaged archive|the archive has more)", "not attempted", others=False)
def a_tar_of_names_for_names(at):
    """Headers that each announce a long name for the next one."""
    inside = io.BytesIO()
    entry = tarfile.TarInfo("././@LongLink")
    entry.type, entry.size = tarfile.GNUTYPE_LONGNAME, 10
    for _ in range(20_000):
        inside.write(entry.tobuf() + b"step3_rag".ljust(512, b"\0"))
    path = at.folder / "ada.tar.gz"
    path.write_bytes(gzip.compress(inside.getvalue(), 1))
    return path
