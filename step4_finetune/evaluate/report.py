"""The results of `evaluate` in a folder: JSON, and all replies as CSV."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shared.errors import UserError
from step4_finetune.tone.scores import SHARES


def write(facts: Mapping[str, Any], folder: Path | None = None) -> None:
    """Write evaluate.json and replies.csv into `folder`, by default in the reports folder.

    Raises:
        UserError: the folder can't be written.
    """
    from shared.report.record import picture_path

    folder = folder or picture_path("step4_finetune", "evaluate", None).parent / "evaluate"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        whole = json.dumps(facts, ensure_ascii=False, indent=1)
        (folder / "evaluate.json").write_text(whole, encoding="utf-8")
        with (folder / "replies.csv").open("w", encoding="utf-8", newline="") as file:
            writer, judged = csv.writer(file), ["adherence", *SHARES]
            writer.writerow(["id", "system", *judged, "reply"])
            for system in facts["systems"]:
                for message, reply in zip(facts["messages"], system["replies"], strict=True):
                    values = [*(reply[name] for name in judged), reply["text"]]
                    writer.writerow([message["id"], system["name"], *values])
    except OSError as error:
        raise UserError(f"{folder} cannot be written: {error.strerror}") from None
