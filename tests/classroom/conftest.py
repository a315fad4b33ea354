"""A submission of a few lines."""

import pytest

from classroom.grading.remote import Remote
from tests.classroom.rubric_helpers import Plain
from tests.classroom.workers import mark, tree


@pytest.fixture
def made_of(tmp_path):
    """made_of("def rrf(rankings, k=60): ...", timeout=2): a Remote whose retrieve.fuse is this code."""
    opened = []

    def make(code: str, timeout: float = 10, visibility: str = "hidden", **modules: str) -> Remote:
        where = tree(tmp_path / f"tree{len(opened)}", fuse=code, **modules)
        remote = Remote(start=lambda: Plain(where))
        remote.begin(mark(timeout, visibility))
        opened.append(remote)
        return remote

    yield make
    for remote in opened:
        remote.close()
