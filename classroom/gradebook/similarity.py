"""Which submissions look alike: pairs above a threshold, with the starter taken off as boilerplate.

    first,second,similarity of first,similarity of second,shared
    ada,bob,0.97,0.95,1843

copydetect compares by winnowing, as MOSS does it (Schleimer, Wilkerson and Aiken 2003): one text for each
learner, in which names of variables, comments and white space don't matter. The reference solution takes part
as `the reference`. Unchanged starters are left out, and only the first 200 kB are compared.

A pair is listed if both share `THRESHOLD` of their text on average, and more than an exercise of a few lines.
Alike is not copied: a short exercise has few right answers. Read the pairs before you ask anybody.

The texts come from submissions, so they are compared in a process of its own with a time limit.
"""

import io
import multiprocessing
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

from classroom.intake.harmless import harmless

THRESHOLD = 0.8
SECONDS = 300.0
MOST_BYTES = 200_000  # of a learner's text
MOST_PAIRS = 1_000  # in the table
REFERENCE = "the reference"
PIECE = 25  # characters, a name counting as one: the shortest common piece that is found
FEWEST = 200  # of such characters that two must share: one short exercise says nothing
HEADER = ("first", "second", "similarity of first", "similarity of second", "shared")

Pair = tuple[str, str, float, float, int]


@dataclass(frozen=True)
class Similar:
    """The pairs, or why there are none."""

    compared: int
    pairs: tuple[Pair, ...] = ()
    problem: str = ""


def compare(
    submissions: Mapping[str, Mapping[str, bytes]],
    starter: Mapping[str, bytes],
    reference: Mapping[str, bytes],
) -> Similar:
    """Compare the files of all learners, by name, with each other and with the reference."""
    texts = {name: _text(files, starter) for name, files in submissions.items()}
    boilerplate = _text(starter, starter)
    texts = {name: text for name, text in texts.items() if text != boilerplate}
    if not texts:
        return Similar(0)
    texts[REFERENCE] = _text(reference, starter)
    with multiprocessing.get_context("spawn").Pool(1) as process:  # ended with this block
        try:
            pairs = process.apply_async(_pairs, (texts, boilerplate)).get(SECONDS)
        except multiprocessing.TimeoutError:
            return Similar(len(texts), problem=f"it took more than {SECONDS:.0f} s")
        except Exception as error:
            return Similar(len(texts), problem=harmless(f"{type(error).__name__}: {error}", 300))
    return Similar(len(texts), tuple(pairs))


def _text(files: Mapping[str, bytes], starter: Mapping[str, bytes]) -> str:
    """All files of a submission as one text, the starter's where one is missing; any bytes are accepted."""
    parts = []
    for name in sorted(starter):
        content = files.get(name, starter[name]).decode("utf-8", errors="replace")
        lines = content.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
        parts.append(f"# {name}\n" + "".join(c for c in lines if c in "\n\t" or c.isprintable()))
    return "\n".join(parts)[:MOST_BYTES]


def _pairs(texts: Mapping[str, str], boilerplate: str) -> list[Pair]:
    """The pairs that are alike, the most similar first."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that waits, which ends this one
    from copydetect import CodeFingerprint, compare_files

    known = [*CodeFingerprint("starter.py", PIECE, 1, fp=io.StringIO(boilerplate)).hashes]
    prints = {
        name: CodeFingerprint("work.py", PIECE, 1, known, fp=io.StringIO(text))
        for name, text in texts.items()
    }
    pairs: list[Pair] = []
    for first, second in combinations(texts, 2):
        shared, shares, _ = compare_files(prints[first], prints[second])
        one, other = (round(min(float(share), 1.0), 3) for share in shares)
        if (one + other) / 2 >= THRESHOLD and shared >= FEWEST:
            pairs.append((first, second, one, other, int(shared)))
    pairs.sort(key=lambda pair: (-pair[2] - pair[3], -pair[4], pair[:2]))
    return pairs[:MOST_PAIRS]
