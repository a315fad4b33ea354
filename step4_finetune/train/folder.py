"""The folder of a run: new, finished, or stopped with a checkpoint to resume from.

runs/tone/recipe.yaml     the recipe with every default
runs/tone/checkpoints/    until it is finished; begun.json there names model and data
runs/tone/run.json        once it is finished
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from filelock import AcquireReturnProxy, FileLock, Timeout

from shared.errors import UserError, reason
from step4_finetune.train.recipe import Recipe, to_yaml

BEGUN = "checkpoints/begun.json"


def check(out: Path, recipe: Recipe, on: dict[str, Any], *, fresh: bool = False) -> None:
    """Check that the folder is free, or holds a stopped run of the same recipe `on` the same model and data;
    if `fresh`, any run.

    Raises:
        UserError: it holds something else, or a damaged checkpoint.
    """
    if (out / "run.json").exists() and not fresh:
        raise UserError(f"{out} holds a finished run: name another --out, or take --fresh, which removes it")
    if out.is_file() or (out.is_dir() and any(out.iterdir()) and not (out / "recipe.yaml").exists()):
        raise UserError(f"{out} is not empty and holds no run: name another --out")
    if fresh or not (out / BEGUN).exists():
        return
    try:
        begun = json.loads((out / BEGUN).read_text(encoding="utf-8"))
        same_recipe = (out / "recipe.yaml").read_text(encoding="utf-8") == to_yaml(recipe)
        other = next((name for name in on if begun.get(name) != on[name]), "") if same_recipe else "recipe"
    except (OSError, ValueError, AttributeError):
        other = "kind"
    if other:
        raise UserError(
            f"{out} holds a stopped run of another {other}: name another --out, or take --fresh, "
            "which removes it"
        )
    last_checkpoint(out / "checkpoints" / recipe.method)


def begin(out: Path, recipe: Recipe, on: dict[str, Any], *, fresh: bool = False) -> AcquireReturnProxy:
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
        (out / "recipe.yaml").write_text(to_yaml(recipe), encoding="utf-8")
        (out / BEGUN).write_text(json.dumps(on), encoding="utf-8")
    except Timeout:
        raise UserError(f"another process is training in {out}: wait for it, or name another --out") from None
    except OSError as error:
        raise UserError(f"{out} cannot be written: {reason(error)}") from None
    return held


def last_checkpoint(folder: Path) -> str | None:
    """The checkpoint to resume from, or None.

    Raises:
        UserError: the checkpoint is not complete.
    """
    from transformers.trainer_utils import get_last_checkpoint

    found = get_last_checkpoint(str(folder)) if folder.is_dir() else None
    if found is None:
        return None
    try:
        json.loads((Path(found) / "trainer_state.json").read_text(encoding="utf-8"))  # is written last
    except (OSError, ValueError) as error:
        raise UserError(
            f"the checkpoint {found} is not whole ({reason(error)}): remove that folder and train again, "
            "which continues from the one before it or starts again"
        ) from None
    return found
