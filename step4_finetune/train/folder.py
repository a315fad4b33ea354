"""The folder of a run: new, finished, or stopped with a checkpoint to resume from.

runs/tone/checkpoints/    until it is finished; begun.json there names recipe, model and data
runs/tone/run.json        once it is finished; its `files` are what the run wrote

`--fresh` removes these, and nothing else that stands in the folder.
"""

import json
import shutil
from collections.abc import Set
from pathlib import Path
from typing import Any

from filelock import AcquireReturnProxy, FileLock, Timeout

from shared.errors import UserError, reason

BEGUN = "checkpoints/begun.json"
COMMAND = "step4_finetune train"  # in run.json, which programs of others write, too
# Of runs whose run.json names no files.
FILES = (
    "run.json",
    "log.jsonl",
    "loss.png",
    "adapter_config.json",
    "adapter_model.safetensors",
    "reader.safetensors",
)


def check(out: Path, on: dict[str, Any], *, fresh: bool = False) -> None:
    """Check that the folder is free, or holds a stopped run `on` the same recipe, model and data; if `fresh`,
    any run.

    Raises:
        UserError: it holds something else.
    """
    finished, begun = bool(read_facts(out)), (out / BEGUN).exists()
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


def read_facts(out: Path) -> dict[str, Any]:
    """The run.json of a finished run; empty where there is none, or one that `train` did not write."""
    try:
        facts = json.loads((out / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(facts, dict) or facts.get("command") != COMMAND:
        return {}
    return facts


def written(out: Path, others: Set[str]) -> list[str]:
    """The files that a run wrote to its folder, with run.json; `others` were there before."""
    here = {path.name for path in out.iterdir() if path.is_file()}
    return sorted((here - others) | (here & set(FILES)) | {"run.json"})


def remove(out: Path) -> None:
    """Remove the files of a finished or stopped run; all others stay."""
    names = read_facts(out).get("files", FILES)
    for name in names:
        (out / Path(name).name).unlink(missing_ok=True)  # never outside the folder
    shutil.rmtree(out / "checkpoints", ignore_errors=True)


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
            remove(out)
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
