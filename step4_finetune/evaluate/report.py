"""The results of `evaluate`: tables for the screen; a folder with JSON, and all replies as CSV."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.errors import UserError
from shared.words import count
from step4_finetune.tone.scores import SHARES

if TYPE_CHECKING:
    from rich.console import Console

Table = tuple[list[str], list[list[str]]]  # head, rows


def tables(facts: Mapping[str, Any]) -> list[Table]:
    """Scores and cost of the systems, the models' forgetting, differences, and rules; with 95 % intervals."""
    scores, cost, models, differences = [], [], [], []
    for each in facts["systems"]:
        scores.append(
            [each["name"], f"{each['adherence']['mean']:.2f}", *(_share(each[name]) for name in SHARES)]
        )
        tokens = (f"{each['prompt_tokens']:.0f}", f"{each['reply_tokens']:.0f}")
        cost.append([each["name"], *tokens, f"{each['seconds_a_reply']:.1f}"])
    base = facts["models"].get("base")
    for name, each in facts["models"].items():
        # Also as a multiple of the base's, if the base was measured.
        times = f" ({each['perplexity'] / base['perplexity']:.2f})" if base else ""
        counts = (f"{each['leaked']} of {each['asked']}", f"{each['right']} of {each['answers']}")
        models.append([name, *counts, f"{each['perplexity']:.1f}{times}"])
    for each in facts["differences"]:
        interval = "{:+.2f} to {:+.2f}".format(*each["interval"]) if each["interval"] else "-"
        what = (f"{each['system']} over {each['over']}", each["measure"].replace("_", " "))
        differences.append([*what, f"{each['difference']:+.2f}", interval])
    rules = [
        [rule, *(f"{each['rules'][rule]['share']:.0%}" for each in facts["systems"])]
        for rule in facts["systems"][0]["rules"]
    ]
    return [
        (["system", "adherence", *(name.replace("_", " ") for name in SHARES)], scores),
        (["cost of it", "read", "written", "s a reply"], cost),
        (["model", "leak", "general answers right", "perplexity"], models),
        (["difference", "of", "mean", "95 %"], differences),
        (["rule", *(each["name"] for each in facts["systems"])], rules),
    ]


def _share(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return "-"
    low, high = found["interval"]
    return f"{found['share']:.0%} ({100 * low:.0f}-{100 * high:.0f})"


def show(facts: Mapping[str, Any], console: Console) -> None:
    """The tables, and the replies to one message."""
    from shared.cli import plain_table

    for head, rows in tables(facts):
        if rows:
            console.print(plain_table(*head, rows=rows, right=head[1:]), "")
    console.print(f"message:\n{facts['messages'][0]['message']}\n")
    for system in facts["systems"]:
        console.print(f"{system['name']}:", style="bold")
        console.print(f"{system['replies'][0]['text']}\n")
    console.print(
        f"{facts['company']}, {facts['split']}: {count(facts['n'], 'message')}; "
        f"read and written: tokens a reply; {facts['model']}; {facts['machine']}",
        soft_wrap=True,
    )


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
