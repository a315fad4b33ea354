"""Print the facts of `ask`, `search`, `agent`, `ingest` and `status`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from shared.cli import plain_table
from shared.words import count
from step3_rag.answer.context import EXCERPT
from step3_rag.ingest.piece import clean

if TYPE_CHECKING:
    from rich.console import Console

SUSPICIOUS = "has what looks like an instruction to a model; it is treated as a quotation"
SAMPLE = "(from the sample documents; `python -m step3_rag ingest FOLDER` makes an index of yours)"


def show_answer(facts: Mapping[str, Any], console: Console, *, trace: bool, streamed: bool) -> None:
    """Print the answer with the sources that it cites; with `trace`, also every search."""
    if facts.get("error"):
        console.print(f"No answer, but this was found. {facts['error']}", style="red", soft_wrap=True)
        show_sources(facts["sources"], console)
        return
    if not streamed:
        console.print(clean(facts["answer"]), soft_wrap=True)
    if facts["stop_reason"] not in (None, "end_turn", "stop_sequence"):
        console.print(f"(the answer is incomplete: {facts['stop_reason']})", style="yellow")
    cited = {number for each in facts["citations"] for number in each["numbers"]}
    shown = [each for each in facts["sources"] if each["number"] in cited]
    if facts["abstained"] and facts["sources"]:
        console.print("\nThe nearest passages:", style="dim")
        shown = facts["sources"][:3]
    show_sources(shown, console)
    unsupported = [each["sentence"] for each in facts["citations"] if not each["supported"]]
    if unsupported and not facts["abstained"]:
        console.print(
            f"\nnot supported by what is cited: {len(unsupported)} of {len(facts['citations'])} sentences, "
            f"such as: {clean(unsupported[0])[:120]}",
            style="yellow",
            soft_wrap=True,
        )
    for each in facts["sources"]:
        if each["suspicious"] and each not in shown:
            console.print(f"\n{clean(each['place'])} was also read, and {SUSPICIOUS}", style="yellow")
    console.print(f"\n{_foot(facts)}", style="dim", soft_wrap=True)
    if trace:
        console.print()
        for each in facts["attempts"]:
            kept = "kept" if each["kept"] else "    "
            line = f"{kept} {each['confidence']:.2f}  {each['strategy']}: {each['query']}"
            console.print(clean(line), soft_wrap=True)


def show_sources(sources: Sequence[Mapping[str, Any]], console: Console) -> None:
    """Print numbered sources, each with an excerpt."""
    for each in sources:
        console.print(f"\n[{each['number']}] {clean(each['place'])}", style="bold", soft_wrap=True)
        text = " ".join(clean(each["excerpt"]).split())
        console.print(f"    {text}{' …' if len(text) == EXCERPT else ''}", soft_wrap=True)
        if each["suspicious"]:
            console.print(f"    ({SUSPICIOUS})", style="yellow")


def _foot(facts: Mapping[str, Any]) -> str:
    confidence, searches, usage = facts["confidence"], max(1, len(facts["attempts"])), facts["usage"]
    parts = ["no confidence" if confidence is None else f"confidence {confidence:.2f}"]
    if facts["abstained"] and confidence is not None and confidence < facts["threshold"]:
        parts = [f"confidence {confidence:.3f} is below the threshold {facts['threshold']:g}"]
    if facts["missing"]:
        parts.append(f"no fitting sentence has {clean(facts['missing'])}")
    parts.append(f"{searches} search{'es' if searches > 1 else ''}")
    if usage["input_tokens"] is not None:
        parts.append(f"{usage['input_tokens']} tokens read, {usage['output_tokens']} written")
    return ", ".join([*parts, f"{sum(facts['seconds'].values()):.1f} s"])


def show_search(facts: Mapping[str, Any], console: Console, *, explain: bool) -> None:
    """Print the results; with `explain`, also their rank and score at every stage."""
    results = facts["results"]
    if not results:
        console.print("nothing found")
    for number, each in enumerate(results, 1):
        place = clean(each["place"]) + (" (superseded)" if each["superseded"] else "")
        console.print(f"[{number}] {place}  ({each['score']:.3f})", style="bold", soft_wrap=True)
        text = " ".join(clean(each["text"]).split())
        console.print(f"    {text[:EXCERPT].rstrip()}{' …' if len(text) > EXCERPT else ''}", soft_wrap=True)
    if explain and results:
        names = list(dict.fromkeys(name for each in results for name in each["stages"]))
        table = plain_table("", *names, right=names)
        for number, each in enumerate(results, 1):
            places = [each["stages"].get(name) for name in names]
            cells = [f"{place['rank']} {place['score']:.2f}" if place else "-" for place in places]
            table.add_row(f"[{number}]", *cells)
        console.print("\nrank and score at every stage:")
        console.print(table)
    times = ", ".join(f"{name} {value:.0f}" for name, value in facts["milliseconds"].items())
    routed = ""
    if facts["routed_to"] is not None:
        routed = f"searched {' and '.join(facts['routed_to']) or 'all collections'}; "
    console.print(
        f"\n{routed}confidence {facts['confidence']:.2f}; milliseconds: {times}", style="dim", soft_wrap=True
    )


def show_agent(facts: Mapping[str, Any], console: Console) -> None:
    """Print the searches, the answer, the sources that it cites, and the tokens."""
    for each in facts["calls"]:
        given = json.dumps(each["input"], ensure_ascii=False)
        console.print(clean(f"{each['tool']} {given}"), style="cyan", soft_wrap=True)
        line = each["result"]
        if not each["is_error"]:
            result = json.loads(line)
            line = f"{result['sources'].count('</source>')} sources, confidence {result['confidence']:.2f}"
        console.print(f"    {line}", style="red" if each["is_error"] else "dim", soft_wrap=True)
    if not facts["calls"]:
        console.print("nothing was looked up: the answer is the model's own", style="yellow")
    console.print(f"\n{clean(facts['answer'])}", soft_wrap=True)
    show_sources([each for each in facts["sources"] if each["number"] in facts["cited"]], console)
    if facts["stop_reason"] != "end_turn":
        console.print(f"\nThe answer is incomplete: {facts['stop_reason']}.", style="yellow")
    console.print(
        f"\n{count(facts['turns'], 'turn')}, {count(len(facts['calls']), 'look-up')}; "
        f"{count(facts['input_tokens'], 'token')} read, "
        f"{facts['output_tokens']:,} written; {facts['model']}; {facts['seconds']:.1f} s",
        style="dim",
        soft_wrap=True,
    )


def show_ingest(facts: Mapping[str, Any], console: Console) -> None:
    """Print what was ingested, and what was not and why."""
    total = f"{count(facts['documents'], 'document')}, {count(facts['chunks'], 'chunk')}"
    counts = ", ".join(f"{len(facts[name])} {name}" for name in ("new", "changed", "removed"))
    console.print(
        f"{total} in {facts['index']}: {counts}, {facts['unchanged']} unchanged; {facts['seconds']:.1f} s",
        soft_wrap=True,
    )
    for name, why in facts["passed_over"].items():
        console.print(f"passed over: {name}: {why}", style="dim", soft_wrap=True)
    for name, why in facts["failed"].items():
        console.print(f"could not be read: {name}: {why}", style="red", soft_wrap=True)


def show_status(facts: Mapping[str, Any], console: Console) -> None:
    """Print the collections with their documents and chunks, and the index's size on disk."""
    table = plain_table("collection", "documents", "chunks", right=("documents", "chunks"))
    for name, row in facts["collections"].items():
        table.add_row(name, str(row["documents"]), str(row["chunks"]))
    console.print(table)
    for each in facts["names"]:
        console.print(f"  {each}{' (superseded)' if each in facts['superseded'] else ''}", soft_wrap=True)
    console.print(
        f"\n{facts['index']}: {facts['embedder']}, chunks of {facts['chunk_size']} tokens overlapping by "
        f"{facts['chunk_overlap']}; {facts['megabytes']:.1f} MB on disk",
        style="dim",
        soft_wrap=True,
    )
