"""A case of the corpus: a function that writes a submission, and what is to come of it.

    @case("3.2 3.3 3.5", r"NaN|nan")
    def nan(at):
        at.rrf("def rrf(rankings, k=60): return dict.fromkeys(rankings[0], float('nan'))")

`at` writes an honest submission first: the reference's own files. What is hostile comes on top of it, so a
case shows that the honest rest keeps its points, too. Code finds FACTS: what an attacker could wish to know.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
FILES = ("fuse", "metrics", "chunk")  # of exercises 3.1 to 3.3 and 3.5
OTHERS = "3.2 3.3 3.5"  # than 3.1, which most cases attack from
RRF = """
def rrf(rankings, k=60):
    fused = {}
    for scores in rankings:
        for rank, each in enumerate(sorted(scores, key=lambda name: -scores[name]), 1):
            fused[each] = fused.get(each, 0.0) + 1 / (k + rank)
    return fused
"""
WRONG = "\ndef rrf(rankings, k=60): return {}\n"


@dataclass
class Case:
    """One submission. `cause` is a pattern that is to be found in what the result says of failed tests."""

    name: str
    make: Callable[[At], Path | None]
    earns: tuple[str, ...]  # exercises, all of their points
    cause: str
    status: str | None = None  # of the test of 3.1
    points: int | None = None  # where they are not those of whole exercises
    stops: tuple[str, ...] = ()  # rows of STOPS without which it does harm
    timeout: float = 15.0  # of the tests of 3.1 and 3.5
    imports: float = 20.0  # seconds for each file
    rubric: str = "rubric"
    more: bool = False  # like another one: not in the fast tier
    kind: str = ""  # the file that it stands in


CASES: dict[str, Case] = {}


def case(
    earns: str,
    cause: str,
    status: str | None = None,
    points: int | None = None,
    stops: str = "",
    timeout: float = 15.0,
    imports: float = 20.0,
    rubric: str = "rubric",
    more: bool = False,
) -> Callable[[Callable[[At], Path | None]], Callable[[At], Path | None]]:
    """Put a function into the corpus; `stops` holds rows of STOPS, with commas between them."""

    def add(make: Callable[[At], Path | None]) -> Callable[[At], Path | None]:
        rows = tuple(row.strip() for row in stops.split(",") if row.strip())
        name, kind = make.__name__, make.__module__.rpartition(".")[2]
        assert name not in CASES, name
        CASES[name] = Case(
            name,
            make,
            tuple(earns.split()),
            cause,
            status,
            points,
            rows,
            timeout,
            imports,
            rubric,
            more,
            kind,
        )
        return make

    return add


@dataclass
class At:
    """Where a case writes its submission: a folder `ada`, or whatever it returns instead."""

    folder: Path
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def ada(self) -> Path:
        return self.folder / "ada"

    def write(self, name: str, content: str | bytes) -> Path:
        """A file of the submission."""
        path = self.ada / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def honest(self) -> At:
        """The reference's files."""
        for name in FILES:
            self.write(path_of(name), reference(name))
        return self

    def rrf(self, code: str) -> None:
        """Honest, but for what stands below in fuse.py: a function `rrf` takes the other's place."""
        self.honest().write(
            "step3_rag/retrieve/fuse.py", reference("fuse") + self.prelude() + textwrap.dedent(code)
        )

    def first(self, code: str, wrong: bool = True) -> None:
        """Honest, but for what fuse.py does when it is imported, before anything else."""
        text = self.prelude() + textwrap.dedent(code) + (WRONG if wrong else RRF)
        rest = (
            reference("fuse")
            .replace("from __future__ import annotations\n", "")
            .replace("def rrf(", "def _rrf(")
        )
        self.honest().write("step3_rag/retrieve/fuse.py", text + rest)

    def tried(self, code: str, then: str = "return {}") -> None:
        """Honest, but for an attack: the body of `attack()`, which `rrf` makes. It raises what stopped it."""
        body = textwrap.indent(textwrap.dedent(code), "    ")
        self.rrf(f"def attack(rankings, k):\n{body}\n    raise Worked\n{TRIED}    {then}\n")

    def prelude(self) -> str:
        return f"\nFACTS = {json.loads(json.dumps(self.facts))!r}\nclass Worked(Exception): pass\n"


TRIED = """
def rrf(rankings, k=60):
    attack(rankings, k)
"""


def path_of(name: str) -> str:
    """Where a file of step 3 with an exercise lies."""
    folders = {"chunk": "ingest", "metrics": "evaluate", "read": "answer", "reflect": "reflect"}
    return f"step3_rag/{folders.get(name, 'retrieve')}/{name}.py"


def reference(name: str) -> str:
    """The right solution of a file of step 3."""
    return (ROOT / path_of(name)).read_text("utf-8")
