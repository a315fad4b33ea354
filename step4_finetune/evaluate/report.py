"""What `evaluate` found: tables for the screen; a folder with a report, a picture, JSON and CSV."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.errors import UserError
from step4_finetune.tone.scores import SHARES

if TYPE_CHECKING:
    from rich.console import Console

SIDE_BY_SIDE = 3  # messages
Table = tuple[list[str], list[list[str]]]  # head, rows


def tables(facts: Mapping[str, Any]) -> dict[str, Table]:
    """Everything that was measured, by title; shares with their 95 % intervals."""
    systems, rules = facts["systems"], facts["systems"][0]["rules"]
    found = {
        "Systems": systems_table(facts),
        "What a system costs": (
            ["cost of it", "read", "written", "s a reply", "trained, s", "MB"],
            [
                [
                    each["name"],
                    f"{each['prompt_tokens']:.0f}",
                    f"{each['reply_tokens']:.0f}",
                    f"{each['seconds_a_reply']:.1f}",
                    *("-" if cost is None else f"{cost:,.0f}" for cost in _training(each)),
                ]
                for each in systems
            ],
        ),
        "What should not have changed": models_table(facts),
        "Differences": (
            ["difference", "of", "mean", "95 %"],
            [
                [
                    f"{each['system']} over {each['over']}",
                    each["measure"].replace("_", " "),
                    f"{each['difference']:+.2f}",
                    "{:+.2f} to {:+.2f}".format(*each["interval"]) if each["interval"] else "-",
                ]
                for each in facts["differences"]
            ],
        ),
        "Rules": (
            ["rule", *(each["name"] for each in systems)],
            [[rule, *(f"{each['rules'][rule]['share']:.0%}" for each in systems)] for rule in rules],
        ),
    }
    if "ragas" in facts:
        likeness = facts["ragas"]["systems"]
        metrics = list(next(iter(likeness.values())))
        found[f"Likeness to the chosen replies, by Ragas {facts['ragas']['version']}"] = (
            ["like the chosen reply", *metrics],
            [[name, *(_mean(each[metric]) for metric in metrics)] for name, each in likeness.items()],
        )
    return found


def systems_table(facts: Mapping[str, Any]) -> Table:
    """One row for each system."""
    rows = [
        [each["name"], f"{each['adherence']['mean']:.2f}", *(_share(each[name]) for name in SHARES)]
        for each in facts["systems"]
    ]
    return ["system", "adherence", *(name.replace("_", " ") for name in SHARES)], rows


def models_table(facts: Mapping[str, Any]) -> Table:
    """One row for each model; perplexity also as a multiple of the base's."""
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
    return ["model", "leak", "general answers right", "perplexity"], rows


def _training(system: Mapping[str, Any]) -> tuple[float | None, float | None]:
    """Seconds and MB of the training; None for what was not trained, or where nobody knows."""
    training = system.get("training") or {}
    return training.get("seconds"), training.get("peak_memory_mb")


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
    from shared.cli import plain_table

    for head, rows in tables(facts).values():
        if rows:
            table = plain_table(*head, right=head[1:])
            for row in rows:
                table.add_row(*row)
            console.print(table, "")
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


def write(facts: Mapping[str, Any], folder: Path | None = None) -> None:
    """report.md, evaluate.json, evaluate.png and replies.csv, in `folder` or beside the other steps' reports.

    Raises:
        UserError: the folder can't be written.
    """
    from shared.report.record import picture_path

    folder = folder or picture_path("step4_finetune", "evaluate", None).parent / "evaluate"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "report.md").write_text(markdown(facts), encoding="utf-8")
        whole = json.dumps(facts, ensure_ascii=False, indent=1)
        (folder / "evaluate.json").write_text(whole, encoding="utf-8")
        with (folder / "replies.csv").open("w", encoding="utf-8", newline="") as file:
            writer, judged = csv.writer(file), ["adherence", *SHARES]
            writer.writerow(["id", "system", *judged, "trained_s", "trained_mb", "reply"])
            for system in facts["systems"]:
                for message, reply in zip(facts["messages"], system["replies"], strict=True):
                    values = [*(reply[name] for name in judged), *_training(system), reply["text"]]
                    writer.writerow([message["id"], system["name"], *values])
        draw(facts, folder / "evaluate.png")
    except OSError as error:
        raise UserError(f"{folder} cannot be written: {error.strerror}") from None


def markdown(facts: Mapping[str, Any]) -> str:
    """The report as Markdown."""
    parts = [f"# {facts['company']}: {facts['headline']}", foot(facts), "![the measures](evaluate.png)"]
    parts += [f"## {title}\n\n{as_markdown(table)}" for title, table in tables(facts).items()]
    parts.append("## Side by side")
    for sample in _samples(facts, SIDE_BY_SIDE):
        for name, text in sample:
            parts.append(f"**{name}**\n\n" + "\n".join(f"> {line}" for line in text.splitlines()))
    return "\n\n".join(parts) + "\n"


def as_markdown(table: Table) -> str:
    """One table."""
    head, rows = table
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def draw(facts: Mapping[str, Any], picture: Path) -> None:
    """Shares with their intervals, by system."""
    from matplotlib.figure import Figure

    systems = facts["systems"]
    measures = [name for name in SHARES if all(system[name] is not None for system in systems)]
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    axes = figure.subplots()
    for number, system in enumerate(systems):
        shares = [system[name]["share"] for name in measures]
        low, high = zip(*(system[name]["interval"] for name in measures), strict=True)
        errors = [
            [max(0.0, share - edge) for share, edge in zip(shares, low, strict=True)],
            [max(0.0, edge - share) for share, edge in zip(shares, high, strict=True)],
        ]
        places = [at + 0.8 * (number - (len(systems) - 1) / 2) / len(systems) for at in range(len(measures))]
        axes.bar(places, shares, 0.8 / len(systems), yerr=errors, capsize=2, label=system["name"])
    axes.set_xticks(range(len(measures)), [name.replace("_", " ") for name in measures])
    axes.set_ylim(0, 1.05)
    axes.set_ylabel("share of replies")
    axes.set_title(f"{facts['company']}, {facts['split']}, n={facts['n']}")
    figure.legend(loc="outside right upper", fontsize="small")
    figure.savefig(picture, dpi=150)
