"""Similar submissions: a copy with other names is found, and no submission stops the comparison."""

from classroom.demo.samples import LEARNERS, files_of, written
from classroom.gradebook import similarity
from classroom.gradebook.similarity import REFERENCE, compare

FUSE = "step3_rag/retrieve/fuse.py"
NAMES = [FUSE, "step3_rag/evaluate/metrics.py"]
STARTER = {name: written(name, {}) for name in NAMES}
ADA, BELA, CARMEN, *_ = (files_of(each, NAMES) for each in LEARNERS)  # reference, learner, copy of hers


def test_a_copy_with_other_names_is_found_and_an_independent_solution_is_not():
    submissions = {
        "ada": ADA,
        "bela": BELA,
        "carmen": CARMEN,
        "dan": STARTER,
        "eve": {FUSE: bytes(range(256)) * 5_000},
        "fay <script>alert(1)</script>": {FUSE: BELA[FUSE] + b"\n    <script>alert(2)</script> = (((\n"},
        "gus": {FUSE: "    x = 'ü'\n".encode("utf-16"), NAMES[1]: b""},
        "hal": {},
        "../../etc": {FUSE: b"\x00" * 1_000, NAMES[1]: b"def f(:\n" * 1_000},
    }
    similar = compare(submissions, STARTER, ADA)
    assert not similar.problem
    pairs = {frozenset(pair[:2]): pair[2:] for pair in similar.pairs}
    assert min(pairs[frozenset(("bela", "carmen"))][:2]) > 0.9
    assert frozenset(("bela", "fay <script>alert(1)</script>")) in pairs
    assert pairs[frozenset(("ada", REFERENCE))][:2] == (1.0, 1.0)
    assert not any({"ada", "bela"} == set(pair) for pair in pairs)
    assert not any({"dan", "hal"} & set(pair) for pair in pairs)
    assert similar.compared == 8  # without dan and hal, with the reference
    shares = [one + other for _, _, one, other, _ in similar.pairs]
    assert shares == sorted(shares, reverse=True)


def test_the_starter_counts_for_nothing():
    """Two who solved nothing alike, in files that are mostly the starter's."""
    assert compare({"ada": ADA, "bela": BELA}, STARTER, STARTER).pairs == ()
    assert compare({"dan": STARTER}, STARTER, STARTER).compared == 0


def test_ctrl_c_is_for_the_command_alone(monkeypatch, tmp_path):
    """A terminal sends it to the comparing process, too, which would print a traceback."""
    (tmp_path / "copydetect.py").write_text("import signal\nsignal.raise_signal(signal.SIGINT)\n[].at_work\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(similarity, "SECONDS", 30)
    assert "no attribute 'at_work'" in compare({"ada": ADA}, STARTER, STARTER).problem


def test_a_comparison_that_fails_is_explained(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(similarity, "SECONDS", 0.01)
        assert compare({"ada": ADA}, STARTER, STARTER).problem == "it took more than 0 s"
    monkeypatch.setattr(similarity, "_text", lambda files, _starter: len(files[FUSE]))  # no text at all
    found = compare({"ada": ADA}, STARTER, STARTER)
    assert found.pairs == ()
    assert found.problem.startswith("TypeError: ")
