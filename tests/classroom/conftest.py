"""A submission of a few lines, and workers for wrong ones of the steps."""

import pytest

from classroom.grading.remote import Remote
from classroom.isolation import open_worker
from tests.classroom.rubric_helpers import Forger, mark, tree


@pytest.fixture(scope="session")
def forger_of():
    """forger_of("step3"): one Forger for each step."""
    made = {}

    def of(step: str) -> Forger:
        if step not in made:
            made[step] = Forger(step)
        return made[step]

    yield of
    for each in made.values():
        each.remote.close()


@pytest.fixture
def made_of(tmp_path):
    """made_of("def rrf(rankings, k=60): ...", timeout=2): a Remote whose retrieve.fuse is this code."""
    opened = []

    def make(code: str, timeout: float = 10, visibility: str = "hidden", **modules: str) -> Remote:
        where = tree(tmp_path / f"tree{len(opened)}", fuse=code, **modules)
        remote = Remote(start=lambda: open_worker(where, "rlimits"))
        remote.begin(mark(timeout, visibility))
        opened.append(remote)
        return remote

    yield make
    for remote in opened:
        remote.close()
