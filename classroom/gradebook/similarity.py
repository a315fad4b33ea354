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
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from classroom.intake.harmless import harmless
from shared.errors import reason

THRESHOLD = 0.8
SECONDS = 300.0
MOST_BYTES = 200_000  # of a learner's text
MOST_PAIRS = 1_000  # in the table
MOST_SHOWN = 60  # with their code, in the report
REFERENCE = "the reference"
PIECE = 25  # characters, names counted as one: the shortest piece that counts, and that is surely found
FEWEST = 200  # of such characters that two must share: one short exercise says nothing
MISSING = "copydetect is not installed: pip install 'llm-roadmap[classroom]'"
HEADER = ("first", "second", "similarity of first", "similarity of second", "shared")


@dataclass(frozen=True)
class Similar:
    """What came of it: the pairs, or why there are none."""

    compared: int
    pairs: tuple[tuple[str, str, float, float, int], ...] = ()
    shown: tuple[dict[str, str], ...] = ()  # the first of them with their code, as HTML
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
    with tempfile.TemporaryDirectory(prefix="classroom-similarity-") as folder:
        place = Path(folder)
        names = _laid_out(place, texts, boilerplate)
        command = [sys.executable, "-m", "classroom.gradebook.similarity", str(place), str(threshold)]
        environment = {**os.environ, "MPLBACKEND": "agg", "OMP_NUM_THREADS": "1"}
        try:
            subprocess.run(
                command,
                cwd=Path(__file__).parents[2],
                env=environment,
                capture_output=True,
                check=True,
                timeout=seconds,
                text=True,
            )
            found = json.loads((place / "pairs.json").read_text("utf-8"))
            shown = json.loads((place / "shown.json").read_text("utf-8"))
        except subprocess.TimeoutExpired:
            return Similar(len(texts), problem=f"it took more than {seconds:.0f} s")
        except subprocess.CalledProcessError as error:
            last = (error.stderr.strip().splitlines() or [f"exit {error.returncode}"])[-1]
            return Similar(len(texts), problem=harmless(last, 300))
        except OSError as error:  # it ended well, and left nothing
            return Similar(len(texts), problem=reason(error))
    pairs = tuple((names[a], names[b], one, other, n) for a, b, one, other, n in found)
    for pair in shown:
        pair.update({which: names[pair[which]] for which in ("first", "second")})
    return Similar(len(texts), pairs, tuple(shown))


def _text(files: Mapping[str, bytes], starter: Mapping[str, bytes]) -> str:
    """All files of a submission as one, the starter's where one is missing; any bytes give some text."""
    parts = []
    for name in sorted(starter):
        content = files.get(name, starter[name]).decode("utf-8", errors="replace")
        lines = content.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
        parts.append(f"# {name}\n" + "".join(c for c in lines if c in "\n\t" or c.isprintable()))
    return "\n".join(parts)[:MOST_BYTES]


def _laid_out(place: Path, texts: Mapping[str, str], boilerplate: str) -> dict[str, str]:
    """The texts as files, in folders that are named so that HTML has nothing to run; name by folder."""
    names: dict[str, str] = {}
    for name, text in texts.items():
        folder = re.sub(r"[^\w.-]+", "_", name)[:60] or "unnamed"
        while folder.casefold() in map(str.casefold, names):
            folder += "_"
        names[folder] = name
        path = place / "texts" / folder / "work.py"
        path.parent.mkdir(parents=True)
        path.write_text(text, "utf-8")
    (place / "starter").mkdir()
    (place / "starter" / "work.py").write_text(boilerplate, "utf-8")
    return names


def page(similar: Similar, step: str, threshold: float) -> str:
    """The report. Not copydetect's own, which has the browser load a script from elsewhere."""
    import jinja2

    folder = Path(__file__).with_name("templates")
    made = jinja2.Environment(loader=jinja2.FileSystemLoader(folder), autoescape=True)
    template = made.get_template("similarity.html.jinja")
    return template.render(similar=similar, step=step, threshold=threshold)


def main() -> None:
    """Compare what lies in a folder, and leave pairs.json and shown.json there."""
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
    detector.test_files.sort()
    detector.ref_files.sort()
    detector.run()
    if not detector.file_data:
        sys.exit("there was no text to compare")
    pairs = _pairs(detector)
    Path("pairs.json").write_text(json.dumps(pairs[:MOST_PAIRS]), "utf-8")
    Path("shown.json").write_text(json.dumps(_shown(detector, pairs[:MOST_SHOWN])), "utf-8")


def _shown(detector: Any, pairs: list[tuple[str, str, float, float, int]]) -> list[dict[str, str]]:
    """These pairs with their code, escaped, with marks around what they share."""
    places = {frozenset(pair[:2]): place for place, pair in enumerate(pairs)}
    for i, first in enumerate(detector.test_files):
        for j, second in enumerate(detector.ref_files):
            if frozenset((_who(first), _who(second))) not in places:
                detector.similarity_matrix[i, j] = -1  # its code is not asked for: it is long
    detector.conf.display_t = 0.0
    shown = []
    for _, _, first, second, code, other, _ in detector.get_copied_code_list():
        one = code.replace("class='highlight-red'", "class='in-first'")
        two = other.replace("class='highlight-green'", "class='in-second'")
        names = {"first": _who(first), "second": _who(second)}
        shown.append({**names, "code_of_first": one, "code_of_second": two})
    return sorted(shown, key=lambda pair: places[frozenset((pair["first"], pair["second"]))])


def _who(path: str) -> str:
    return Path(path).parent.name


def _pairs(detector: Any) -> list[tuple[str, str, float, float, int]]:
    """Each pair once, those that have most in common first."""
    pairs = []
    for i, first in enumerate(detector.test_files):
        for j, second in enumerate(detector.ref_files[:i]):
            one, other = map(float, detector.similarity_matrix[i, j])
            shared = int(detector.token_overlap_matrix[i, j])
            shares = round(min(other, 1.0), 3), round(min(one, 1.0), 3)
            if sum(shares) / 2 >= detector.conf.display_t and shared >= FEWEST:
                pairs.append((_who(second), _who(first), *shares, shared))
    return sorted(pairs, key=lambda pair: (-pair[2] - pair[3], -pair[4], pair[:2]))


if __name__ == "__main__":
    main()
