"""Weights & Biases as one more place for the figures of an evaluation; the database stays the first.

    $ python -m step5_serving compare 1 2 --wandb my-project
    $ wandb sync wandb/offline-run-*          # later, from where there is a network

Without a key it works offline: the run lies in the folder `wandb`, complete when the command has ended, and
can be sent on later. The measures become the run's summary; answers that changed, a table.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from typing import Any

from shared.errors import UserError, reason

NUMBERS = ("n", "measures", "gained", "lost", "p")
KEYS = ("command", "a", "b", "model", "engine", "dataset", "judge", "machine")  # what a run is of


def send(facts: Mapping[str, Any], project: str) -> str:
    """Log one evaluation as a run; returns the folder that it lies in.

    Raises:
        UserError: wandb is not installed, or takes the run not.
    """
    os.environ.setdefault("WANDB_SILENT", "true")  # its advertisements would stand among our figures
    try:
        wandb: Any = importlib.import_module("wandb")
    except ImportError:
        raise UserError("--wandb wants its client: pip install wandb") from None
    mode = os.environ.get("WANDB_MODE") or ("online" if os.environ.get("WANDB_API_KEY") else "offline")
    try:
        run = wandb.init(
            project=project,
            job_type=str(facts["command"]).split(" ")[-1],
            config={key: facts[key] for key in KEYS if facts.get(key) is not None},
            mode=mode,
            settings=wandb.Settings(console="off"),
        )
        run.summary.update({name: facts[name] for name in NUMBERS if name in facts})
        rows = facts.get("changed") or []
        if rows:
            columns = list(rows[0])
            data = [[row.get(column) for column in columns] for row in rows]
            run.log({"changed": wandb.Table(columns=columns, data=data)})
        folder = str(run.dir)
        run.finish()
    except wandb.Error as error:
        raise UserError(f"--wandb {project}: {reason(error)}") from None
    return folder
