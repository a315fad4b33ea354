"""A step's grader as an upload that stands alone, for a service that grades by itself.

    python -m classroom pack gradescope --step step3 --out autograder.zip
    python -m classroom pack classroom50 --step step3 --out bundle

Inside are the grader, the step with its solutions, the hidden tests, and a requirements.txt with the
versions of constraints.txt. Nothing of it names a registry: the service's own pip decides. The seed is drawn
when it is packed, so a class is graded alike.

Gradescope    A zip with setup.sh and run_autograder. Source: gradescope-autograders.readthedocs.io,
              "Autograder Specifications" and "Base Images".
Classroom 50  autograders/SLUG/ with autograder.py, and the entry for assignments.json. Source: foundation50/
              classroom50: the wiki page Advanced-Autograding, runner.py, publish-pages.yaml, the schema of
              assignments.json. Found there: the bundle is published on GitHub Pages and fetched from
              learners' own repositories, so whoever looks for it can read the solutions, and change the
              workflow: take the scores as feedback.
"""

from __future__ import annotations

import io
import json
import os
import re
import secrets
import shutil
import tarfile
import zipfile
from pathlib import Path
from typing import Any

from shared.errors import UserError, reason

UNUSED = (".png", ".svg", "Dockerfile")  # by no code
RUN = ("setup.sh", "run_autograder")  # files that are run
SLUG = re.compile(r"[a-z0-9][a-z0-9-]{1,38}")
MAX_BUNDLE = 10 << 20  # bytes, as its runner fetches it
PUBLIC = (
    "Classroom 50 publishes this bundle on GitHub Pages, solutions and hidden tests included, and grades in "
    "learners' own repositories: take its scores as feedback, and grade for marks with grade-class"
)
TEMPLATES = Path(__file__).with_name("templates")
PYTHON = "3.12"  # there; its default is too new for this project


def run(
    service: str, step: str, out: Path, seed: int | None, variants: tuple[int, ...], slug: str | None = None
) -> dict[str, Any]:
    """Make the upload.

    Raises:
        UserError: no such step or slug, it is too large, or it can't be written.
    """
    from classroom.assignment.spec import assignment
    from classroom.upload.requirements import pinned

    a = assignment(step)
    seed = secrets.randbelow(1 << 31) if seed is None else seed
    slug = slug or a.step.replace("_", "-")
    if service == "gradescope" and out.suffix != ".zip":
        raise UserError(f"--out {out}: Gradescope takes a .zip")
    if not SLUG.fullmatch(slug):
        raise UserError(f"--slug {slug!r}: 2 to 39 lower-case letters, digits and hyphens")
    requirements = pinned(a.step)
    values = {"a": a, "seed": seed, "variants": variants, "slug": slug, "python": PYTHON}
    files = {f"grader/{name}": content for name, content in grader(a.packages, a.number).items()}
    files["requirements.txt"] = ("\n".join(requirements) + "\n").encode()
    if service == "gradescope":
        files |= _rendered(("setup.sh", "run_autograder", "README.md"), "gradescope", values)
        size = _write(out, lambda part: part.write_bytes(zipped(files)))
        notes = []
    else:
        files |= _rendered(("autograder.py",), "classroom50", values)
        size = len(_tarred(files, slug))
        if size > MAX_BUNDLE:
            raise UserError(
                f"the bundle has {size / 1e6:.1f} MB, and Classroom 50 takes {MAX_BUNDLE / 1e6:.1f}"
            )
        files = {f"autograders/{slug}/{name}": content for name, content in files.items()}
        files |= _rendered(("README.md",), "classroom50", values)
        files["assignment.json"] = _json(entry(a, slug))
        files["runtime.json"] = _json(entry(a, slug)["runtime"])
        _write(out, lambda part: _unfold(files, part))
        notes = [PUBLIC]
    return {
        "service": service,
        "step": a.step,
        "seed": seed,
        "variants": list(variants),
        "out": str(out),
        "files": len(files),
        "bytes": size,
        "requirements": len(requirements),
        "notes": notes,
    }


def grader(packages: tuple[str, ...], number: str) -> dict[str, bytes]:
    """The grader and what it grades against, as files that run where they lie."""
    from classroom.assignment.spec import classroom_files, sources

    roots = ["__main__.py", "cli/grade.py", "protocol/worker.py", "intake/*.py", "isolation/*.py"]
    roots += [f"rubrics/{number}_*.py", f"rubrics/{number}.toml", f"drivers/{number}*.py"]
    found = {name: path.read_bytes() for name, path in sources(packages).items() if not name.endswith(UNUSED)}
    return found | classroom_files(roots)


def entry(a: Any, slug: str) -> dict[str, Any]:
    """The assignment as Classroom 50's assignments.json has it."""
    return {
        "slug": slug,
        "name": a.title,
        "mode": "individual",
        "autograder": "default",
        "runtime": {"runs-on": "ubuntu-latest", "python": PYTHON, "apt": ["bubblewrap"]},
        "allowed_files": ["*", "!classroom.json", *(f"!{name}" for name in a.files)],
    }


def _rendered(names: tuple[str, ...], service: str, values: dict[str, Any]) -> dict[str, bytes]:
    from classroom.handout.texts import render

    return {name: render(f"{service}_{name}", TEMPLATES, **values) for name in names}


def _json(value: Any) -> bytes:
    return (json.dumps(value, ensure_ascii=False, indent=1) + "\n").encode()


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


def _tarred(files: dict[str, bytes], slug: str) -> bytes:
    """What Classroom 50 makes of a bundle: to know its size."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for name, content in sorted(files.items()):
            info = tarfile.TarInfo(f"{slug}/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return made.getvalue()


def _unfold(files: dict[str, bytes], folder: Path) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _write(out: Path, make: Any) -> int:
    """Write a file or a folder, whole or not at all; its size, where it is a file."""
    part = out.with_name(f"{out.name}.part")
    try:
        if out.is_dir():
            raise UserError(f"{out} is there already: name a new one, or remove it")
        shutil.rmtree(part, ignore_errors=True)
        make(part)
        os.replace(part, out)  # noqa: PTH105  (of folders, too)
        return out.stat().st_size
    except OSError as error:
        raise UserError(f"{out} can't be written: {reason(error)}") from None
