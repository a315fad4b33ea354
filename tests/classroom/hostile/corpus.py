"""Hostile and broken submissions: what each does, the points it deserves, and the cause in the result.

A TOML file holds those that are a piece of code, by their names:

    [nan]
    status = "failed"              of its test, if it is always the same
    cause = 'NaN|nan'              a pattern that the result has to hold
    code = "def rrf(rankings, k=60): return dict.fromkeys(rankings[0], float('nan'))"

    code       comes after the reference's file, where `right` is the reference's function
    first      runs when the file is imported, before anything else
    attack     runs in `rrf`, which raises what stopped it
    each       the same, with each canary's `path`
    forged     the body of an `rrf` that can `say` something on the worker's own pipe; `then` comes last
    chunk      the same for a `chunk`, which gets a function of the grader's

    right      it deserves its points
    spoils     it damages its process, which is closed after it
    stops      rows of isolation/stops.py: it does harm on a level without them
    timeout    seconds for its test (imports: for importing its file)
    of         the function that is called: rrf, chunk or min_max

A function with @case writes a whole submission (packing.py). Code can use FACTS: what an attacker may want to
know.
"""

import io
import tarfile
import textwrap
import tomllib
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from classroom.assignment import markers

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
FILES = {
    "fuse": "step3_rag/retrieve/fuse.py",
    "metrics": "step3_rag/evaluate/metrics.py",
    "chunk": "step3_rag/ingest/chunk.py",
}
WRONG = "\ndef rrf(rankings, k=60): return {}\n"
WORKER = """
import gc, json, os, threading, time
WORKER = next(each for each in gc.get_objects() if type(each).__name__ == "Worker")
PIPE = WORKER._replies.fileno()
def say(told):
    if not isinstance(told, bytes): told = json.dumps({"id": WORKER._now, **told}).encode() + b"\\n"
    os.write(PIPE, told)
def tokens_number(tokens):
    return tokens.__closure__[tokens.__code__.co_freevars.index("number")].cell_contents
"""
EACH = """
import os, shutil
done, last = [], None
for path in FACTS["canaries"]:
    try:
{code}
        done.append(path)
    except OSError as error:
        last = error
if done: raise Worked(repr(done))
raise last
"""


def reference(name):
    """The right solution of a file of step 3."""
    return (ROOT / FILES[name]).read_text("utf-8")


def starter(name):
    """The same file as it is handed out."""
    return markers.strip(reference(name), name)


@dataclass
class At:
    """Where an attacker writes a whole submission: the folder `ada`, or the path that it returns."""

    folder: Path
    facts: dict = field(default_factory=dict)

    @property
    def ada(self):
        return self.folder / "ada"

    def write(self, name, content):
        """A file of the submission."""
        path = self.ada / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def zipped(self, files, method=zipfile.ZIP_DEFLATED):
        """An archive with these files."""
        with zipfile.ZipFile(self.folder / "ada.zip", "w", method) as archive:
            for inside, content in files.items():
                archive.writestr(inside, content)
        return self.folder / "ada.zip"

    def tarred(self, files, *entries, mode="w:gz", **how):
        """A tar with these files, then these entries."""
        with tarfile.open(self.folder / "ada.tar", mode, **how) as archive:
            for inside, content in files.items():
                entry = tarfile.TarInfo(inside)
                entry.size = len(content.encode())
                archive.addfile(entry, io.BytesIO(content.encode()))
            for entry in entries:
                archive.addfile(entry)
        return self.folder / "ada.tar"

    def honest(self, fuse=None):
        """The reference's files, or another fuse.py beside them."""
        for name, path in FILES.items():
            self.write(path, fuse if name == "fuse" and fuse is not None else reference(name))
        return self


@dataclass(frozen=True)
class Attack:
    """One attacker. `make` gives the text of its file, or the path of its whole submission."""

    name: str
    cause: str
    make: Callable
    status: str | None = None
    right: bool = False
    others: bool = True  # whether its other files are the reference's
    of: str = "rrf"  # or chunk, or min_max
    timeout: float = 15.0
    imports: float = 20.0
    stops: tuple[str, ...] = ()
    spoils: bool = False


ATTACKS = {}


def case(cause, status=None, name="", **how):
    """Put a function into the corpus that writes a whole submission."""

    def add(make):
        known_as = name or make.__name__
        ATTACKS[known_as] = Attack(known_as, cause, make, status, **how)
        return make

    return add


def written(told, at):
    """The file of an attacker that is a piece of code."""
    code = next(told[kind] for kind in ("code", "first", "attack", "each", "forged", "chunk") if kind in told)
    of = told["of"]
    rest = reference("chunk" if of == "chunk" else "fuse")
    prelude = f"\nFACTS = {at.facts!r}\nclass Worked(Exception): pass\n"
    if {"forged", "chunk"} & told.keys() or "say(" in code or "WORKER" in code:
        prelude += WORKER
    if "first" in told:
        rest = rest.replace("from __future__ import annotations\n", "").replace("def rrf(", "def right(")
        right = "\ndef rrf(rankings, k=60): return right(rankings, k)\n"
        return prelude + code + (right if told.get("right_below") else WRONG) + rest
    prelude += f"right = {of}\n"
    if "code" in told:
        return f"{rest}{prelude}{code}\n"
    if "each" in told:
        code = EACH.format(code=textwrap.indent(code, " " * 8))
    body = textwrap.indent(code.strip("\n"), "    ")
    if "attack" in told or "each" in told:
        attack = f"def attack(rankings, k):\n{body}\n    raise Worked\n"
        return f"{rest}{prelude}{attack}def rrf(rankings, k=60):\n    attack(rankings, k)\n    return {{}}\n"
    head = "chunk(text, tokens, size=200, overlap=40)" if of == "chunk" else "rrf(rankings, k=60)"
    then = told.get("then", "time.sleep(99)" if of == "rrf" else "return []")
    return f"{rest}{prelude}def {head}:\n{body}\n    {then}\n"


for file in sorted(HERE.glob("*.toml")):
    for name, told in tomllib.loads(file.read_text("utf-8")).items():
        told.setdefault("of", "chunk" if "chunk" in told else "rrf")
        known = {key: told[key] for key in told.keys() & Attack.__dataclass_fields__.keys()}
        ATTACKS[name] = Attack(name, make=partial(written, told), **known)
