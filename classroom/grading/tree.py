"""The tree that a worker sees: the step without solutions, with a submission's files laid over it.

    with laid_out(assignment, intake.files) as tree: ...      tree/step3_rag/retrieve/fuse.py is the learner's

Nothing else of a submission is there. Of the grader there are the worker, the format of its messages, and the
step's drivers; nothing of the reference or the tests.
"""

import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from classroom.assignment.spec import Assignment, classroom_files, packages_of, stripped, write_files

UNUSED = (".png", ".svg", ".safetensors", "README.md", "NOTES.md", "Dockerfile")  # no exercise needs them


@cache
def base(step: str) -> dict[str, bytes]:
    """The files that all submissions of a step have in common, made once in a process."""
    files = {
        name: each
        for name, each in stripped(packages_of(step)).items()
        if not name.endswith(UNUSED) and "/lessons/" not in name  # a chapter may show a solution
    }
    drivers = f"drivers/{step.partition('_')[0]}*.py"
    return files | classroom_files("protocol/*.py", "drivers/__init__.py", drivers)


@contextlib.contextmanager
def laid_out(assignment: Assignment, submitted: Mapping[str, bytes]) -> Iterator[Path]:
    """A temporary folder with the tree of a submission. Others may read it: a sandbox may be another user."""
    with tempfile.TemporaryDirectory(prefix="classroom-", ignore_cleanup_errors=True) as folder:
        tree = Path(folder) / "tree"
        write_files(tree, {**base(assignment.step), **submitted})
        for path in (Path(folder), tree, *tree.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
        yield tree
