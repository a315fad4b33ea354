"""Which submissions look alike: pairs above a threshold, with the starter taken off as boilerplate.

    first,second,similarity of first,similarity of second,shared
    ada,bob,0.97,0.95,1843

It is copydetect (winnowing, as MOSS does it: Schleimer, Wilkerson and Aiken 2003) on the files that are
handed in, one text for each learner: names of variables, comments and white space don't matter to it. The
reference solution takes part as `the reference`. Not compared are submissions that are the starter
unchanged, and what stands after the first 200 kB.

A pair is told where that share of both, on average, stands in the other, and is more than an exercise of a
few lines. Alike is not copied: a short exercise has few right answers. Read the pairs before you ask anybody.

What is compared is strangers' text, so that happens in a process of its own with a time limit:

    python -m classroom.gradebook.similarity FOLDER THRESHOLD     reads texts/NAME/work.py and starter/work.py
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from classroom.intake.harmless import harmless

THRESHOLD = 0.8
SECONDS = 300.0
MOST_BYTES = 200_000  # of a learner's text
MOST_PAIRS = 1_000  # in the table
REFERENCE = "the reference"
PIECE = 25  # characters, names counted as one: the shortest piece that counts, and that is surely found
FEWEST = 200  # of such characters that two must share: one short exercise says nothing
MISSING = "copydetect is not installed: pip install 'llm-roadmap[classroom]'"
HEADER = ("first", "second", "similarity of first", "similarity of second", "shared")

Pair = tuple[str, str, float, float, int]


@dataclass(frozen=True)
class Similar:
    """What came of it: the pairs, or why there are none."""

    compared: int
    pairs: tuple[Pair, ...] = ()
    problem: str = ""

    def rows(self) -> list[list[object]]:
        """The table."""
        return [[*HEADER], *([*pair] for pair in self.pairs)]


def compare(
    submissions: Mapping[str, Mapping[str, bytes]],
    starter: Mapping[str, bytes],
    reference: Mapping[str, bytes],
    threshold: float = THRESHOLD,
    seconds: float = SECONDS,
) -> Similar:
    """Compare the files of all learners, by name, with each other and with the reference."""
    texts = {name: _text(files, starter) for name, files in submissions.items()}
    boilerplate = _text(starter, starter)
    texts = {name: text for name, text in texts.items() if text != boilerplate}
    if not texts:
        return Similar(0)
    if importlib.util.find_spec("copydetect") is None:
        return Similar(len(texts), problem=MISSING)
    texts[REFERENCE] = _text(reference, starter)
    names = list(texts)
    with tempfile.TemporaryDirectory(prefix="classroom-similarity-") as folder:
        place = Path(folder)
        _write(place / "starter", boilerplate)
        for number, text in enumerate(texts.values()):
            _write(place / "texts" / str(number), text)
        command = [sys.executable, "-m", "classroom.gradebook.similarity", folder, str(threshold)]
        environment = {**os.environ, "MPLBACKEND": "agg", "OMP_NUM_THREADS": "1"}
        try:
            done = subprocess.run(
                command,
                cwd=Path(__file__).parents[2],
                env=environment,
                capture_output=True,
                timeout=seconds,
                text=True,
            )
        except subprocess.TimeoutExpired:
            return Similar(len(texts), problem=f"it took more than {seconds:.0f} s")
        if done.returncode:
            last = (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1]
            return Similar(len(texts), problem=harmless(last, 300))
        found = json.loads((place / "pairs.json").read_text("utf-8"))
    return Similar(len(texts), tuple((names[a], names[b], *shares) for a, b, *shares in found))


def _text(files: Mapping[str, bytes], starter: Mapping[str, bytes]) -> str:
    """All files of a submission as one, the starter's where one is missing; any bytes give some text."""
    parts = []
    for name in sorted(starter):
        content = files.get(name, starter[name]).decode("utf-8", errors="replace")
        lines = content.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
        parts.append(f"# {name}\n" + "".join(c for c in lines if c in "\n\t" or c.isprintable()))
    return "\n".join(parts)[:MOST_BYTES]


def _write(folder: Path, text: str) -> None:
    folder.mkdir(parents=True)
    (folder / "work.py").write_text(text, "utf-8")


def main() -> None:
    """Compare what lies in a folder; leave pairs.json there: the numbers of two texts and what they share."""
    os.chdir(sys.argv[1])
    from copydetect import CopyDetector

    detector = CopyDetector(
        test_dirs=["texts"],
        boilerplate_dirs=["starter"],
        extensions=["py"],
        noise_t=PIECE,
        guarantee_t=PIECE,
        display_t=float(sys.argv[2]),
        ignore_leaf=True,
        autoopen=False,
        truncate=True,
        silent=True,
    )
    detector.test_files.sort(key=_number)
    detector.ref_files.sort(key=_number)
    detector.run()
    if not detector.file_data:
        sys.exit("there was no text to compare")
    Path("pairs.json").write_text(json.dumps(_pairs(detector)[:MOST_PAIRS]), "utf-8")


def _number(path: str) -> int:
    return int(Path(path).parent.name)


def _pairs(detector: Any) -> list[tuple[int, int, float, float, int]]:
    """Each pair once, those that have most in common first."""
    pairs = []
    for i, first in enumerate(detector.test_files):
        for j, second in enumerate(detector.ref_files[:i]):
            one, other = map(float, detector.similarity_matrix[i, j])
            shared = int(detector.token_overlap_matrix[i, j])
            shares = round(min(other, 1.0), 3), round(min(one, 1.0), 3)
            if sum(shares) / 2 >= detector.conf.display_t and shared >= FEWEST:
                pairs.append((_number(second), _number(first), *shares, shared))
    return sorted(pairs, key=lambda pair: (-pair[2] - pair[3], -pair[4], pair[:2]))


if __name__ == "__main__":
    main()
