"""Print the results of the commands."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from shared.cli import Console, plain_table
from shared.stats import Share, percent
from step3_rag.answer.context import EXCERPT, without_headings
from step3_rag.ingest.text import clean

SUSPICIOUS = "has what looks like an instruction to a model; it is treated as a quotation"


def say(console: Console, text: str, style: str = "") -> None:
    """Print a text without control characters, whose lines the terminal may wrap, but not rich."""
    console.print(clean(text), style=style, soft_wrap=True)


def show_answer(
    facts: Mapping[str, Any], console: Console, *, trace: bool = False, streamed: bool = False
) -> None:
    """Print the answer with the sources that it cites; with `trace`, also every search."""
    if facts.get("error"):
        say(console, f"No answer, but this was found. {facts['error']}", "red")
        show_sources(facts["sources"], console)
        return
    if not streamed:
        say(console, facts["answer"])
    if facts["stop_reason"] not in (None, "end_turn", "stop_sequence"):
        say(console, f"(the answer is incomplete: {facts['stop_reason']})", "yellow")
    cited = {number for each in facts["citations"] for number in each["numbers"]}
    shown = [each for each in facts["sources"] if each["number"] in cited]
    if facts["abstained"] and facts["sources"]:
        say(console, "\nThe nearest passages:", "dim")
        shown = facts["sources"][:3]
    show_sources(shown, console)
    unsupported = [each["sentence"] for each in facts["citations"] if not each["supported"]]
    if unsupported and not facts["abstained"]:
        share = f"{len(unsupported)} of {len(facts['citations'])} sentences"
        say(console, f"\nnot supported by what is cited: {share}, such as: {unsupported[0][:120]}", "yellow")
    for each in facts["sources"]:
        if each["suspicious"] and each not in shown:
            say(console, f"\n{each['place']} was also read, and {SUSPICIOUS}", "yellow")
    say(console, f"\n{_foot(facts)}", "dim")
    if trace:
        console.print()
        for each in facts["attempts"]:
            kept = "kept" if each["kept"] else "    "
            say(console, f"{kept} {each['confidence']:.2f}  {each['strategy']}: {each['query']}")


def show_sources(sources: Sequence[Mapping[str, Any]], console: Console) -> None:
    """Print numbered sources, each with an excerpt."""
    for each in sources:
        text = " ".join(each["excerpt"].split())
        say(console, f"\n[{each['number']}] {each['place']}", "bold")
        say(console, f"    {text}{' …' if len(text) == EXCERPT else ''}")
        if each["suspicious"]:
            say(console, f"    ({SUSPICIOUS})", "yellow")


def _foot(facts: Mapping[str, Any]) -> str:
    confidence, usage = facts["confidence"], facts["usage"]
    parts = ["no confidence" if confidence is None else f"confidence {confidence:.2f}"]
    if facts["abstained"] and confidence is not None and confidence < facts["threshold"]:
        parts = [f"confidence {confidence:.3f} is below the threshold {facts['threshold']:g}"]
    if facts["replaced"]:
        parts.append("quoted: what the model wrote says something else")
    parts.append("1 search" if facts["searches"] == 1 else f"{facts['searches']} searches")
    if usage["input_tokens"] is not None:
        parts.append(f"{usage['input_tokens']} tokens read, {usage['output_tokens']} written")
    return ", ".join([*parts, f"{sum(facts['seconds'].values()):.1f} s"])


def show_search(facts: Mapping[str, Any], console: Console, *, explain: bool) -> None:
    """Print the results; with `explain`, also their rank and score at every stage."""
    results = facts["results"]
    if not results:
        say(console, "nothing found")
    for number, each in enumerate(results, 1):
        old = " (superseded)" if each["superseded"] else ""
        text = without_headings(each["text"])
        say(console, f"[{number}] {each['place']}{old}  ({each['score']:.3f})", "bold")
        say(console, f"    {text[:EXCERPT].rstrip()}{' …' if len(text) > EXCERPT else ''}")
    if explain and results:
        names = list(dict.fromkeys(name for each in results for name in each["stages"]))
        cells = [[_place(each["stages"].get(name)) for name in names] for each in results]
        rows = [(f"[{number}]", *row) for number, row in enumerate(cells, 1)]
        say(console, "\nrank and score at every stage:")
        console.print(plain_table("", *names, rows=rows, right=names))
    times = ", ".join(f"{name} {value:.0f}" for name, value in facts["milliseconds"].items())
    routed = ""
    if facts["routed_to"] is not None:
        routed = f"searched {' and '.join(facts['routed_to']) or 'all collections'}; "
    say(console, f"\n{routed}confidence {facts['confidence']:.2f}; milliseconds: {times}", "dim")


def _place(place: Mapping[str, Any] | None) -> str:
    return f"{place['rank']} {place['score']:.2f}" if place else "-"


def show_agent(facts: Mapping[str, Any], console: Console) -> None:
    """Print the agent's searches and its answer."""
    for each in facts["calls"]:
        say(console, f"{each['tool']} {json.dumps(each['input'], ensure_ascii=False)}", "cyan")
        if each["is_error"]:
            say(console, f"    {each['result']}", "red")
        else:
            found = json.loads(each["result"])
            n, confidence = found["sources"].count("</source>"), found["confidence"]
            say(console, f"    {n} sources, confidence {confidence:.2f}", "dim")
    if not facts["calls"]:
        say(console, "nothing was looked up: the answer is the model's own", "yellow")
    console.print()
    show_answer(facts, console)


def show_ingest(facts: Mapping[str, Any], console: Console) -> None:
    """Print what was ingested, and what was not and why."""
    counts = ", ".join(f"{len(facts[name])} {name}" for name in ("new", "changed", "removed"))
    counts += f", {facts['unchanged']} unchanged"
    say(console, f"{facts['headline']} in {facts['index']}: {counts}; {facts['seconds']:.1f} s")
    for name, why in facts["passed_over"].items():
        say(console, f"passed over: {name}: {why}", "dim")
    for name, why in facts["failed"].items():
        say(console, f"could not be read: {name}: {why}", "red")


def show_tables(facts: Mapping[str, Any], console: Console) -> None:
    """Print the tables of a measurement: for each its rows, and for each of these the values by column."""
    for title, rows in facts["tables"].items():
        if rows:
            columns = list(next(iter(rows.values())))
            cells = [(clean(name), *map(_cell, row.values())) for name, row in rows.items()]
            console.print(plain_table(title, *columns, rows=cells, right=columns, gap=1))
            console.print()
    say(console, f"{facts['note']}; {facts['machine']}")


def _cell(value: Any) -> str:
    """A value of a measurement: a mean as `0.500`, a share as `3/4 75% (30-95)`, a difference with counts."""
    match value:
        case None | Share(share=None):
            return "-"
        case Share():
            return f"{value.hits}/{value.n} {percent(value)}"
        case {"mean": mean, "interval_95": interval, "better": better, "worse": worse}:
            low, high = interval or (mean, mean)
            return f"{mean:+.3f} ({low:+.3f} to {high:+.3f}), {better} up {worse} down"
        case float():
            return f"{value:.3f}"
    return str(value)


def show_status(facts: Mapping[str, Any], console: Console) -> None:
    """Print the collections with their documents and chunks, and the index's size on disk."""
    rows = [(name, str(row["documents"]), str(row["chunks"])) for name, row in facts["collections"].items()]
    columns = ("documents", "chunks")
    console.print(plain_table("collection", *columns, rows=rows, right=columns))
    for each in facts["names"]:
        say(console, f"  {each}{' (superseded)' if each in facts['superseded'] else ''}")
    sizes = f"chunks of {facts['chunk_size']} tokens overlapping by {facts['chunk_overlap']}"
    size = f"{facts['megabytes']:.1f} MB on disk"
    say(console, f"\n{facts['index']}: {facts['embedder']}, {sizes}; {size}", "dim")
