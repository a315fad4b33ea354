"""Similar submissions: a copy with other names is found, and no submission stops the comparison."""

import re

import pytest

from classroom.gradebook import similarity
from classroom.gradebook.similarity import REFERENCE, compare

A = "step3_rag/retrieve/fuse.py"
B = "step3_rag/evaluate/metrics.py"
STARTER = {
    A: b"import math\n\n\ndef rrf(rankings, k=60):\n    'Fuse.'\n    raise NotImplementedError('exercise')\n",
    B: b"def ndcg(gains):\n    'Cumulated.'\n    raise NotImplementedError('exercise')\n",
}
ADA = """    fused = {}
    for ranking in rankings:
        ordered = sorted(ranking.items(), key=lambda pair: (-pair[1], pair[0]))
        for place, (name, _) in enumerate(ordered, start=1):
            fused[name] = fused.get(name, 0.0) + 1.0 / (k + place)
    total = sum(fused.values())
    if total <= 0 or not math.isfinite(total):
        return {}
    best = max(fused.values())
    return {name: score / best for name, score in sorted(fused.items()) if score > best / 100}
"""
BOB = """    out = collections.defaultdict(float)
    while rankings:
        one = rankings.pop()
        names = list(one)
        names.sort(key=one.__getitem__, reverse=True)
        position = 0
        while position < len(names):
            position += 1
            out[names[position - 1]] += (k + position) ** -1
    try:
        peak = max(out[each] for each in out)
    except ValueError:
        return dict()
    result = dict()
    for each in out:
        if out[each] * 100 > peak:
            result[each] = out[each] / peak
    return result
"""


def solved(body):
    stub = "    raise NotImplementedError('exercise')\n"
    return {A: STARTER[A].decode().replace(stub, body).encode(), B: STARTER[B]}


def renamed(body):
    """The same with other names, comments and white space: what a copy looks like at first sight."""
    for old, new in (("fused", "acc"), ("ranking", "lst"), ("ordered", "q"), ("place", "i"), ("name", "doc")):
        body = re.sub(rf"\b{old}\b", new, body)
    return body.replace("\n    for", "\n\n    # my own idea\n    for")


@pytest.fixture
def similar():
    submissions = {
        "ada": solved(ADA),
        "bob": solved(BOB),
        "cleo": solved(renamed(ADA)),
        "dan": STARTER,
        "eve": {A: bytes(range(256)) * 5_000},
        "fay <script>alert(1)</script>": solved(ADA + "\n    <script>alert(2)</script> = (((\n"),
        "gus": {A: "    x = 'ü'\n".encode("utf-16"), B: b""},
        "hal": {},
        "../../etc": {A: b"\x00" * 1_000, B: b"def f(:\n" * 1_000},
    }
    return compare(submissions, STARTER, solved(BOB))


def test_a_copy_with_other_names_is_found_and_an_independent_solution_is_not(similar):
    assert not similar.problem
    pairs = {frozenset(pair[:2]): pair[2:] for pair in similar.pairs}
    assert pairs[frozenset(("ada", "cleo"))][:2] == (1.0, 1.0)
    assert frozenset(("ada", "fay <script>alert(1)</script>")) in pairs
    assert pairs[frozenset(("bob", REFERENCE))][:2] == (1.0, 1.0)
    assert not any({"ada", "bob"} == set(pair) for pair in pairs)
    assert not any({"dan", "hal"} & set(pair) for pair in pairs)
    assert similar.compared == 8  # without dan and hal, with the reference
    shares = [one + other for _, _, one, other, _ in similar.pairs]
    assert shares == sorted(shares, reverse=True)


def test_the_starter_counts_for_nothing():
    """Two who solved nothing alike, in files that are mostly the starter's."""
    found = compare({"ada": solved(ADA), "bob": solved(BOB)}, STARTER, solved("    return rankings[0]\n"))
    assert found.pairs == ()
    assert compare({"dan": STARTER}, STARTER, STARTER).compared == 0


def test_a_comparison_that_fails_is_explained(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(similarity, "SECONDS", 0.01)
        assert compare({"ada": solved(ADA)}, STARTER, STARTER).problem == "it took more than 0 s"
    with monkeypatch.context() as patch:
        patch.setattr(similarity, "_text", lambda files, _starter: len(files[A]))  # no text at all
        found = compare({"ada": solved(ADA)}, STARTER, STARTER)
        assert found.pairs == ()
        assert found.problem.startswith("TypeError: ")
    monkeypatch.setattr(similarity.importlib.util, "find_spec", lambda _name: None)
    assert "pip install 'llm-roadmap[classroom]'" in compare({"ada": solved(ADA)}, STARTER, STARTER).problem
