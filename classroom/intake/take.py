"""A submission comes in: a folder or an archive, of which the files that were asked for are read.

    intake = take(Path("ada.zip"), ["step3_rag/retrieve/fuse.py", "step3_rag/ingest/chunk.py"])
    intake.files["step3_rag/retrieve/fuse.py"]      bytes; Python will say whether they are a program
    intake.notes                           what was refused or is missing, for the instructor
    intake.newest                          the newest date of a file inside: a learner's own claim

The list of files is the grader's own. Only regular files are read, on a path without symbolic links, and at
most 1 MiB of each. Nothing is unpacked onto the disk, so a name in an archive leads nowhere. Problems become
notes: the only error is a submission that isn't there.

A submission may lie in one folder inside (as `unzip` and GitHub make them), or hold its files without
folders (as some upload forms do).

A separate process (reader.py) with limits on memory and time reads it, so that nothing is decompressed or
parsed here.
"""

import base64
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from classroom.intake.folders import MAX_BYTES
from classroom.intake.harmless import harmless
from shared.errors import UserError

MAX_NOTES = 30
SECONDS = 20.0  # until the reader is ended
READER = Path(__file__).with_name("reader.py")


@dataclass
class Intake:
    """What was read of a submission."""

    name: str  # of the submission
    files: dict[str, bytes] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    variant: int | None = None  # as its own manifest says: a claim
    newest: datetime | None = None  # date of a file

    def note(self, text: str) -> None:
        """Tell the instructor something, as long as there are few notes."""
        if len(self.notes) < MAX_NOTES:
            self.notes.append(harmless(" ".join(text.split()), 300))


def take(path: Path, wanted: Sequence[str] = ()) -> Intake:
    """Read the wanted files of a submission.

    Raises:
        UserError: there is no such submission.
    """
    must_be_there(path)
    where = os.path.abspath(path)  # noqa: PTH100  (no links)
    intake = Intake(harmless(Path(where).name, 200) or "submission")
    told = _read(where, wanted)
    if isinstance(told, str):
        intake.note(f"nothing could be read: {told}")
        return intake
    for text in told["notes"]:
        intake.note(text)
    intake.files = {name: base64.b64decode(content) for name, content in told["files"].items()}
    intake.variant = told["variant"]
    if told["newest"] is not None:
        with contextlib.suppress(ValueError, OverflowError, OSError):  # a year that does not exist
            intake.newest = datetime.fromtimestamp(told["newest"], UTC)
    return intake


def must_be_there(path: Path) -> None:
    """Refuse a submission that does not exist.

    Raises:
        UserError: it does not.
    """
    if not os.path.lexists(path):
        raise UserError(f"there is no submission {str(path)!r}; name a folder, a .zip or a .tar.gz")


def _read(path: str, wanted: Sequence[str]) -> dict[str, Any] | str:
    """What the reader found, or why it found nothing."""
    asked = json.dumps({"path": path, "wanted": list(wanted)}).encode()
    environment = {name: os.environ[name] for name in ("TZ", "SYSTEMROOT") if name in os.environ}
    command = [sys.executable, "-I", "-S", str(READER)]
    try:
        done = subprocess.run(command, input=asked, capture_output=True, timeout=SECONDS, env=environment)
    except subprocess.TimeoutExpired:
        return "it took too long"
    if done.returncode < 0:
        return "it takes too much time or memory"
    if done.returncode or len(done.stdout) > 2 * (len(wanted) + 1) * MAX_BYTES:
        return f"the reader failed: {(done.stderr.decode(errors='replace').splitlines() or ['?'])[-1]}"
    return json.loads(done.stdout)
