"""Five invented learners, and what they handed in for step 3.

    >>> [each.name for each in LEARNERS]
    ['ada', 'bela', 'carmen', 'dora', 'eve']
    >>> hand_in(LEARNERS[1], files_of(LEARNERS[1], assignment("step3").files), Path("submissions"))
    PosixPath('submissions/bela.zip')

Their files are the step's present ones, with their code (samples_code.py) in place of our solutions, and
stubs where they wrote nothing, so they stay valid when the step changes. Eve's code does no harm without a
sandbox: it waits, looks for files, and connects to an address that belongs to no machine.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from classroom.assignment.markers import places
from classroom.assignment.spec import ROOT, write_files
from classroom.demo import samples_code as code

DEADLINE = "2026-11-20T23:59"


@dataclass(frozen=True)
class Learner:
    """A learner. `code` is what they wrote, by function; None stands for all of our own solutions."""

    name: str
    story: str
    kind: str  # of the archive, as shutil names it; empty for a folder
    when: str  # in this machine's time zone
    code: Mapping[str, str] | None = field(repr=False)


LEARNERS = (
    Learner("ada", "has solved everything", "", "2026-11-18T20:15", None),
    Learner("bela", "half done; nDCG is wrong", "zip", "2026-11-20T22:40", code.BELA),
    Learner("carmen", "Bela's work, renamed; late", "", "2026-11-21T00:31", code.CARMEN),
    Learner("dora", "half done; a bracket missing", "gztar", "2026-11-20T19:05", code.DORA),
    Learner("eve", "hangs, cheats, tries to get out", "", "2026-11-20T23:58", code.EVE),
)


def files_of(learner: Learner, names: Sequence[str]) -> dict[str, bytes]:
    """The files that a learner hands in."""
    return {name: written(name, learner.code) for name in names}


def written(name: str, solutions: Mapping[str, str] | None) -> bytes:
    """A file of a step with these solutions in place of ours, and stubs where there are none."""
    source = (ROOT / name).read_text("utf-8")
    if solutions is None:
        return source.encode()
    lines = source.splitlines(keepends=True)
    for place in reversed(places(source, name)):
        own = solutions.get(place.function)
        made = place.stub if own is None else textwrap.indent(textwrap.dedent(own).strip("\n"), place.indent)
        lines[place.first - 1 : place.last] = [made + "\n"]
    return "".join(lines).encode()


def hand_in(learner: Learner, files: Mapping[str, bytes], folder: Path) -> Path:
    """Put a learner's files into the folder of all submissions, with the date of handing in."""
    moment = datetime.fromisoformat(learner.when).timestamp()
    with tempfile.TemporaryDirectory() as own:
        write_files(Path(own), files)
        for name in files:
            os.utime(Path(own, name), (moment, moment))
        path = folder / learner.name
        if learner.kind:
            return Path(shutil.make_archive(str(path), learner.kind, own))
        shutil.rmtree(path, ignore_errors=True)
        return shutil.copytree(own, path)
