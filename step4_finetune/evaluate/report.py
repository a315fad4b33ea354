"""What `evaluate` found: tables for the screen; a folder with a report, picture, JSON and CSV."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.errors import UserError
from step4_finetune.evaluate.card_facts import SHARES as SHOWN

if TYPE_CHECKING:
    from rich.console import Console

SIDE_BY_SIDE = 3  # messages
Table = tuple[list[str], list[list[str]]]  # head, rows


def systems_table(facts: Mapping[str, Any]) -> Table:
    """One row for each system; shares with their 95 % intervals."""
    head = ["system", "adherence", *(name.replace("_", " ") for name in SHOWN)]
    rows = [
        [each["name"], f"{each['adherence']['mean']:.2f}", *(_share(each[name]) for name in SHOWN)]
        for each in facts["systems"]
    ]
    return head, rows


def costs_table(facts: Mapping[str, Any]) -> Table:
    """What a system costs: at every reply, and once to make, where that is known."""
    head = ["cost of it", "read", "written", "s a reply", "trained, s", "MB"]
    rows = []
    for each in facts["systems"]:
        seconds, megabytes = _training(each)
        rows.append(
            [
                each["name"],
                f"{each['prompt_tokens']:.0f}",
                f"{each['reply_tokens']:.0f}",
                f"{each['seconds_a_reply']:.1f}",
                "-" if seconds is None else f"{seconds:,.0f}",
                "-" if megabytes is None else f"{megabytes:,.0f}",
            ]
        )
    return head, rows


def _training(system: Mapping[str, Any]) -> tuple[float | None, float | None]:
    """Seconds and MB of the training; None for what was not trained, or where nobody knows."""
    training = system.get("training") or {}
    return training.get("seconds"), training.get("peak_memory_mb")


def models_table(facts: Mapping[str, Any]) -> Table:
    """One row for each model: what should not have changed."""
    head = ["model", "leak", "general answers right", "perplexity"]
    base = facts["models"].get("base")
    rows = [
        [
            name,
            f"{each['leaked']} of {each['asked']}",
            f"{each['right']} of {each['answers']}",
            f"{each['perplexity']:.1f}"
            + (f" ({each['perplexity'] / base['perplexity']:.2f})" if base else ""),
        ]
        for name, each in facts["models"].items()
    ]
    return head, rows


def differences_table(facts: Mapping[str, Any]) -> Table:
    """The tuned models against the others."""
    rows = [
        [
            f"{each['system']} over {each['over']}",
            each["measure"].replace("_", " "),
            f"{each['difference']:+.2f}",
            f"{each['interval'][0]:+.2f} to {each['interval'][1]:+.2f}" if each["interval"] else "-",
        ]
        for each in facts["differences"]
    ]
    return ["difference", "of", "mean", "95 %"], rows


def rules_table(facts: Mapping[str, Any]) -> Table:
    """Which rule each system keeps how often."""
    names = [each["name"] for each in facts["systems"]]
    rules = facts["systems"][0]["rules"]
    rows = [[rule, *(f"{each['rules'][rule]['share']:.0%}" for each in facts["systems"])] for rule in rules]
    return ["rule", *names], rows


def likeness_table(facts: Mapping[str, Any]) -> Table:
    """Ragas' figures (ragas_scores.py), means with their 95 % intervals."""
    systems = facts["ragas"]["systems"]
    metrics = list(next(iter(systems.values())))
    rows = [[name, *(_mean(each[metric]) for metric in metrics)] for name, each in systems.items()]
    return ["like the chosen reply", *metrics], rows


def _mean(found: Mapping[str, Any]) -> str:
    between = "" if found["interval"] is None else " ({:.2f}-{:.2f})".format(*found["interval"])
    return f"{found['mean']:.2f}{between}"


def _share(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return "-"
    low, high = found["interval"]
    return f"{found['share']:.0%} ({100 * low:.0f}-{100 * high:.0f})"


def show(facts: Mapping[str, Any], console: Console) -> None:
    """The tables, and what the systems say to one message."""
    from rich import box
    from rich.table import Table as RichTable

    for head, rows in _tables(facts).values():
        if not rows:
            continue
        table = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
        for at, name in enumerate(head):
            table.add_column(name, justify="left" if at == 0 else "right")
        for row in rows:
            table.add_row(*row)
        console.print(table)
    for name, text in _samples(facts, 1)[0]:
        console.print(f"{name}:", style="bold")
        console.print(f"{text}\n")
    console.print(foot(facts), soft_wrap=True)


def foot(facts: Mapping[str, Any]) -> str:
    """Where the figures come from, and where else they went."""
    sent = facts.get("phoenix")
    return (
        f"{facts['company']}, {facts['split']}: {facts['n']} messages; read and written: tokens a reply; "
        f"MB: memory of the training, at most; {facts['model']}; {facts['machine']}"
        + (f"; experiments in Phoenix: {sent['url']}" if sent else "")
    )


def _samples(facts: Mapping[str, Any], n: int) -> list[list[tuple[str, str]]]:
    """For some messages: the message, then what each system replied."""
    step = max(1, facts["n"] // n)
    return [
        [
            ("message", facts["messages"][at]["message"]),
            *((each["name"], each["replies"][at]["text"]) for each in facts["systems"]),
        ]
        for at in range(0, facts["n"], step)
    ][:n]


def place() -> Path:
    """Where the report goes when nobody says: beside the other steps' reports."""
    from shared.report.record import picture_path

    return picture_path("step4_finetune", "evaluate", None).parent / "evaluate"


# --- a folder -----------------------------------------------------------------------------------------------


def write(facts: Mapping[str, Any], folder: Path) -> None:
    """report.md, evaluate.json, evaluate.png and replies.csv, in `folder`.

    Raises:
        UserError: the folder can't be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "report.md").write_text(markdown(facts), encoding="utf-8")
        (folder / "evaluate.json").write_text(
            json.dumps(facts, ensure_ascii=False, indent=1), encoding="utf-8"
        )
        _csv(facts, folder / "replies.csv")
        draw(facts, folder / "evaluate.png")
    except OSError as error:
        raise UserError(f"{folder} cannot be written: {error.strerror}") from None


def _tables(facts: Mapping[str, Any]) -> dict[str, Table]:
    tables = {
        "Systems": systems_table(facts),
        "What a system costs": costs_table(facts),
        "What should not have changed": models_table(facts),
        "Differences": differences_table(facts),
        "Rules": rules_table(facts),
    }
    if "ragas" in facts:
        tables[f"Likeness to the chosen replies, by Ragas {facts['ragas']['version']}"] = likeness_table(
            facts
        )
    return tables


def markdown(facts: Mapping[str, Any]) -> str:
    """The report as Markdown."""
    parts = [f"# {facts['company']}: {facts['headline']}", foot(facts), "![the measures](evaluate.png)"]
    for title, (head, rows) in _tables(facts).items():
        lines = [head, ["---"] * len(head), *rows]
        parts += [f"## {title}", "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)]
    parts.append("## Side by side")
    for sample in _samples(facts, SIDE_BY_SIDE):
        parts += [
            f"**{name}**\n\n" + "\n".join(f"> {line}" for line in text.splitlines()) for name, text in sample
        ]
    return "\n\n".join(parts) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _csv(facts: Mapping[str, Any], path: Path) -> None:
    """One row for each message and system."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        judged = ["adherence", *SHOWN]
        writer.writerow(["id", "system", *judged, "trained_s", "trained_mb", "reply"])
        for system in facts["systems"]:
            for message, reply in zip(facts["messages"], system["replies"], strict=True):
                values = [*(reply[name] for name in judged), *_training(system), reply["text"]]
                writer.writerow([message["id"], system["name"], *values])


def draw(facts: Mapping[str, Any], picture: Path) -> None:
    """Shares with their intervals, by system."""
    from matplotlib.figure import Figure

    measures: Sequence[str] = [
        name for name in SHOWN if all(system[name] is not None for system in facts["systems"])
    ]
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    axes = figure.subplots()
    width = 0.8 / len(facts["systems"])
    for number, system in enumerate(facts["systems"]):
        shares = [system[name]["share"] for name in measures]
        errors = [
            [max(0.0, system[name]["share"] - system[name]["interval"][0]) for name in measures],
            [max(0.0, system[name]["interval"][1] - system[name]["share"]) for name in measures],
        ]
        places = [at + (number - (len(facts["systems"]) - 1) / 2) * width for at in range(len(measures))]
        axes.bar(places, shares, width, yerr=errors, capsize=2, label=system["name"])
    axes.set_xticks(range(len(measures)), [name.replace("_", " ") for name in measures])
    axes.set_ylim(0, 1.05)
    axes.set_ylabel("share of replies")
    axes.set_title(f"{facts['company']}, {facts['split']}, n={facts['n']}")
    axes.grid(axis="y", alpha=0.3)
    figure.legend(loc="outside right upper", fontsize="small")
    figure.savefig(picture, dpi=150)
