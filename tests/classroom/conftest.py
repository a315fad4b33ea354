"""A submission of a few lines."""

import pytest

from classroom.grading.remote import Remote
from classroom.isolation import open_worker
from tests.classroom.workers import mark, tree


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
