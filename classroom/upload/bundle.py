"""A step's grader as an upload for Gradescope, which grades by itself: a zip that stands alone.

    python -m classroom pack gradescope --step step3 --out autograder.zip

Inside are setup.sh, run_autograder, the grader, the step with its solutions, the hidden tests, and a
requirements.txt with its constraints.txt. Nothing of it names a registry: the service's own pip decides. The
seed is drawn when it is packed, so a class is graded alike.

Source: gradescope-autograders.readthedocs.io, "Autograder Specifications" and "Base Images".
"""

from __future__ import annotations

import io
import secrets
import zipfile
from pathlib import Path
from typing import Any

from shared.errors import UserError, reason

UNUSED = (".png", ".svg", ".safetensors", "Dockerfile")  # by no exercise
RUN = ("setup.sh", "run_autograder")  # files that are run
TEMPLATES = Path(__file__).with_name("templates")
PYTHON = "3.12"  # there; its default is too new for this project


def run(step: str, out: Path, seed: int | None, variants: tuple[int, ...]) -> dict[str, Any]:
    """Make the upload.

    Raises:
        UserError: no such step, or it can't be written.
    """
    from classroom.assignment.spec import ROOT, assignment
    from classroom.handout.texts import render
    from classroom.upload.requirements import pinned

    a = assignment(step)
    seed = secrets.randbelow(1 << 31) if seed is None else seed
    if out.suffix != ".zip":
        raise UserError(f"--out {out}: Gradescope takes a .zip")
    requirements = pinned(a.step)
    values = {"a": a, "seed": seed, "variants": variants, "python": PYTHON}
    files = {f"grader/{name}": content for name, content in grader(a.packages, a.number).items()}
    files["requirements.txt"] = ("\n".join(requirements) + "\n").encode()
    files["constraints.txt"] = (ROOT / "constraints.txt").read_bytes()
    for name in (*RUN, "README.md"):
        files[name] = render(f"gradescope_{name}", TEMPLATES, **values)
    try:
        part = out.with_name(f"{out.name}.part")
        part.write_bytes(zipped(files))
        part.replace(out)
    except OSError as error:
        raise UserError(f"{out} can't be written: {reason(error)}") from None
    return {
        "step": a.step,
        "seed": seed,
        "variants": list(variants),
        "out": str(out),
        "files": len(files),
        "bytes": out.stat().st_size,
        "requirements": len(requirements),
    }


def grader(packages: tuple[str, ...], number: str) -> dict[str, bytes]:
    """The grader and what it grades against, as files that run where they lie."""
    from classroom.assignment.spec import classroom_files, sources

    roots = ["__main__.py", "cli/grade.py", "protocol/worker.py", "intake/*.py", "isolation/*.py"]
    roots += [f"rubrics/{number}_*.py", f"rubrics/{number}.toml", f"drivers/{number}*.py"]
    found = {name: path.read_bytes() for name, path in sources(packages).items() if not name.endswith(UNUSED)}
    return found | classroom_files(roots)


def zipped(files: dict[str, bytes]) -> bytes:
    """A zip of files, the same for the same files."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(files.items()):
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.create_system = 3  # so that Unix takes the modes
            info.external_attr = (0o100755 if name in RUN else 0o100644) << 16
            archive.writestr(info, content)
    return made.getvalue()
