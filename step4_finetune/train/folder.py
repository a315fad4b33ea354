"""The folder of a run: new, finished, or stopped with a checkpoint to resume from.

runs/tone/checkpoints/    until it is finished; begun.json there names recipe, model and data
runs/tone/run.json        once it is finished
"""

import json
import shutil
from pathlib import Path
from typing import Any

from filelock import AcquireReturnProxy, FileLock, Timeout

from shared.errors import UserError, reason

BEGUN = "checkpoints/begun.json"


def check(out: Path, on: dict[str, Any], *, fresh: bool = False) -> None:
    """Check that the folder is free, or holds a stopped run `on` the same recipe, model and data; if `fresh`,
    any run.

    Raises:
        UserError: it holds something else.
    """
    finished, begun = (out / "run.json").exists(), (out / BEGUN).exists()
    if finished and not fresh:
        raise UserError(f"{out} holds a finished run: name another --out, or take --fresh, which removes it")
    if out.is_file() or (out.is_dir() and any(out.iterdir()) and not finished and not begun):
        raise UserError(f"{out} is not empty and holds no run: name another --out")
    if fresh or not begun:
        return
    try:
        earlier = json.loads((out / BEGUN).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        earlier = {}
    if other := next((name for name in on if name not in earlier or earlier[name] != on[name]), None):
        raise UserError(
            f"{out} holds a stopped run of another {other}: name another --out, or take --fresh, "
            "which removes it"
        )


def begin(out: Path, on: dict[str, Any], *, fresh: bool = False) -> AcquireReturnProxy:
    """Write recipe, model and data before the first step; if `fresh`, remove the run in the folder first.

    Other processes are kept out for as long as the context that it returns lasts.

    Raises:
        UserError: the folder can't be written, or another process trains in it.
    """
    lock = FileLock(out / "checkpoints" / ".lock", timeout=0)
    try:
        if fresh and out.exists():
            with lock:
                pass  # nobody trains there
            shutil.rmtree(out)
        held = lock.acquire()  # makes the folders
        (out / BEGUN).write_text(json.dumps(on), encoding="utf-8")
    except Timeout:
        raise UserError(f"another process is training in {out}: wait for it, or name another --out") from None
    except OSError as error:
        raise UserError(f"{out} cannot be written: {reason(error)}") from None
    return held


def last_checkpoint(folder: Path) -> str | None:
    """The newest whole checkpoint, to resume from; its trainer_state.json is written last."""
    states = sorted(folder.glob("checkpoint-*/trainer_state.json"), key=lambda each: each.stat().st_mtime)
    for state in reversed(states):
        try:
            json.loads(state.read_text(encoding="utf-8"))
        except ValueError:  # the disk was full
            continue
        return str(state.parent)
    return None
