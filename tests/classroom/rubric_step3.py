"""Changes of step 3's solutions, and the points that each costs: 0 for another right way."""

from collections import defaultdict

import numpy as np

from tests.classroom.rubric_helpers import not_attempted

RRF, SCALED, MIN_MAX = (f"step3_rag.retrieve.fuse:{name}" for name in ("rrf", "scaled", "min_max"))
NDCG, MAXSIM = "step3_rag.evaluate.metrics:ndcg", "step3_rag.retrieve.rerank:late_interaction"
CHUNK = "step3_rag.ingest.chunk:chunk"
BETTER, REFLECT = (f"step3_rag.reflect.reflect:{name}" for name in ("better", "reflect"))
BY_CITATION, CITED = "step3_rag.answer.read:_by_citation", "step3_rag.answer.read:_cited"


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
CHANGES = {
    "a dict of another kind": (0, {RRF: rrf_with_defaultdict}),
    "one document after the other": (0, {MAXSIM: maxsim_with(max)}),
    "chunks as lists": (0, {CHUNK: chunk_by_runs}),
    "a margin by subtraction": (
        0,
        (
            BETTER,
            "each.confidence > best.confidence + MARGIN",
            "each.confidence - best.confidence > MARGIN",
        ),
    ),
    "a sum of words": (
        0,
        (CITED, "len(own & held) / len(own)", "sum(each in held for each in own) / len(own)"),
    ),
    "ranks from 0": (10, (RRF, "ranked(scores), 1", "ranked(scores), 0")),
    "k is always 60": (4, (RRF, "+ 1 / (k + rank)", "+ 1 / (60 + rank)")),
    "ties by name": (3, (RRF, "ranked(scores)", BY_NAME)),
    "an ideal that is not cut": (4, (NDCG, "reverse=True)[:k]", "reverse=True)")),
    "negative grades": (3, (NDCG, "max(0, qrels.get(doc, 0))", "qrels.get(doc, 0)")),
    "division by zero": (8, (SCALED, " if high > low else 1.0", "")),
    "missing candidates are skipped": (7, (MIN_MAX, "return fused", SKIPPED)),
    "weights that are too many": (2, (MIN_MAX, "strict=True", "strict=False")),
    "nothing below 0": (15, {MAXSIM: maxsim_with(lambda row: max(0, *row))}),
    "parts of no length": (7, (MAXSIM, "if len(document)]", "]")),
    "equal weights": (11, (MAXSIM, "weights @ best / weights.sum()", "best.mean(0)")),
    "no overlap": (17, (CHUNK, "first - units[begin].first > room", "begin < i")),
    "an overlap without room": (7, (CHUNK, "min(overlap, size - (end - first))", "overlap")),
    "an overlap over headings": (4, (CHUNK, *OVER_HEADINGS)),
    "each heading begins a chunk": (4, (CHUNK, "first - units[begin].first >= size // 2", "True")),
    "the margin is enough": (3, (BETTER, "> best.confidence", ">= best.confidence")),
    "better by whatever": (6, (BETTER, " + MARGIN", "")),
    "confident, and yet asked again": (3, (REFLECT, "better(attempts).confidence >= threshold:", "False:")),
    "rewritten from the latest": (7, (REFLECT, "attempts[0].found", "attempts[-1].found")),
    "searched twice": (
        4,
        (REFLECT, " and other not in [(each.query, each.found.options) for each in attempts]", ""),
    ),
    "nothing after the full stop": (5, (BY_CITATION, "if not in_front:", "if False:")),
    "numbers twice": (3, (BY_CITATION, "numbers = tuple(dict.fromkeys(", "numbers = tuple(list(")),
    "one number a bracket": (6, (BY_CITATION, r're.findall(r"\d+", mark)', r're.findall(r"\d+", mark)[:1]')),
    "every number exists": (3, (CITED, "if each not in known", "if False")),
    "any source supports": (10, (CITED, SHARED, "known.values()")),
    "no words": (2, (CITED, " if own else 0.0", "")),
    "3.3 half done": (10, {MIN_MAX: not_attempted("3.3")}),
    "3.6 half done": (10, {REFLECT: not_attempted("3.6")}),
    "3.7 half done": (15, {CITED: not_attempted("3.7")}),
}
