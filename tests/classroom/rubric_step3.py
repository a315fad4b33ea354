"""Changes of step 3's solutions, and the points that each costs: 0 for another right way."""

from collections import defaultdict

import numpy as np

from tests.classroom.rubric_helpers import not_attempted


def rrf_with_defaultdict(rankings, k=60):
    fused = defaultdict(float)
    for scores in rankings:
        for i, (name, _) in enumerate(sorted(scores.items(), key=lambda pair: pair[1], reverse=True)):
            fused[name] += 1.0 / (i + 1 + k)
    return fused


def maxsim_with(best):
    """One document after the other, in the float16 of the index; `best` is of a token's cosines."""

    def of(query, documents, weights):
        scores = np.zeros(len(documents), np.float32)
        for i, document in enumerate(documents):
            if len(query.token_ids) and weights.sum() and len(document):
                cosines = query.token_vectors @ document.T
                scores[i] = np.average([float(best(row)) for row in cosines], weights=weights)
        return scores

    return of


def chunk_by_runs(text, tokens_of, size=128, overlap=32):
    """From the docstring: runs of units as lists."""
    from step3_rag.ingest.chunk import _narrow, _units

    if not 0 <= overlap < size:
        raise ValueError("no such chunks")
    tokens = list(_narrow(tokens_of(text)))
    runs = [[]]

    def length(run):
        return sum(unit.end - unit.first for unit in run)

    for unit in _units(text, tokens, size, overlap):
        last, own = runs[-1], unit.end - unit.first
        if unit.is_section and last and length(last) >= size // 2:
            runs.append([])
        elif length(last) + own > size:
            kept = [*last]
            while kept and length(kept) > min(overlap, size - own):
                kept.pop(0)
            runs.append(kept)
        runs[-1].append(unit)
    return [(tokens[run[0].first][0], tokens[run[-1].end - 1][1]) for run in runs if run]


SKIPPED = "return {name: fused[name] for name in fused if all(name in each for each in rankings)}"
SHARED = "(known.get(number, set()) for number in numbers)"
BY_NAME = "sorted(scores, key=lambda i: (-scores[i], i))"
OVER_HEADINGS = "while begin < i and (starts_section or ", "while begin < i and ("
OTHERS = " and other not in tried"
CHANGES = {
    "a dict of another kind": (0, {"rrf": rrf_with_defaultdict}),
    "one document after the other": (0, {"late_interaction": maxsim_with(max)}),
    "chunks as lists": (0, {"chunk": chunk_by_runs}),
    "a margin by subtraction": (0, ("better", "> best.confidence + MARGIN", "- best.confidence > MARGIN")),
    "a sum of words": (0, ("_cited", "len(own & cited)", "sum(each in cited for each in own)")),
    "ranks from 0": (10, ("rrf", "ranked(scores), 1", "ranked(scores), 0")),
    "k is always 60": (4, ("rrf", "+ 1 / (k + rank)", "+ 1 / (60 + rank)")),
    "ties by name": (3, ("rrf", "ranked(scores)", BY_NAME)),
    "an ideal that is not cut": (4, ("ndcg", "reverse=True)[:k]", "reverse=True)")),
    "negative grades": (3, ("ndcg", "max(0, qrels.get(doc, 0))", "qrels.get(doc, 0)")),
    "division by zero": (8, ("scaled", " if high > low else 1.0", "")),
    "missing candidates are skipped": (7, ("min_max", "return fused", SKIPPED)),
    "weights that are too many": (2, ("min_max", "strict=True", "strict=False")),
    "nothing below 0": (15, {"late_interaction": maxsim_with(lambda row: max(0, *row))}),
    "parts of no length": (7, ("late_interaction", "if len(document)]", "]")),
    "equal weights": (11, ("late_interaction", "weights @ best / weights.sum()", "best.mean(0)")),
    "no overlap": (17, ("chunk", "first - units[begin].first > room", "begin < i")),
    "an overlap without room": (7, ("chunk", "min(overlap, size - (end - first))", "overlap")),
    "an overlap over headings": (4, ("chunk", *OVER_HEADINGS)),
    "each heading begins a chunk": (4, ("chunk", "first - units[begin].first >= size // 2", "True")),
    "the margin is enough": (3, ("better", "> best.confidence", ">= best.confidence")),
    "better by whatever": (6, ("better", " + MARGIN", "")),
    "confident, and yet asked again": (3, ("reflect", "better(attempts).confidence >= threshold:", "False:")),
    "rewritten from the latest": (7, ("reflect", "attempts[0].found", "attempts[-1].found")),
    "searched twice": (4, ("reflect", OTHERS, "")),
    "nothing after the full stop": (5, ("_by_citation", "if not in_front:", "if False:")),
    "numbers twice": (3, ("_by_citation", "numbers = tuple(dict.fromkeys(", "numbers = tuple(list(")),
    "one number a bracket": (6, ("_by_citation", r'r"\d+", mark)', r'r"\d+", mark)[:1]')),
    "every number exists": (3, ("_cited", "if number not in known", "if False")),
    "any source supports": (10, ("_cited", SHARED, "known.values()")),
    "no words": (2, ("_cited", " if own else 0.0", "")),
    "3.3 half done": (10, {"min_max": not_attempted("3.3")}),
    "3.6 half done": (10, {"reflect": not_attempted("3.6")}),
    "3.7 half done": (15, {"_cited": not_attempted("3.7")}),
}
