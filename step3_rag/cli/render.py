"""What `ask`, `search`, `ingest` and `status` put on the screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from step3_rag.answer.context import EXCERPT, Source, excerpt
from step3_rag.answer.read import Answer, Cited
from step3_rag.ingest.piece import clean
from step3_rag.reflect.reflect import Reflection
from step3_rag.retrieve.search import Candidate, Found

if TYPE_CHECKING:
    from rich.console import Console

    from step3_rag.pipeline import ChatError, Outcome, Plan


SUSPICIOUS = "holds what reads like an order to a model; it is treated as a quotation"
SAMPLE = "(from the sample documents; `python -m step3_rag ingest FOLDER` makes an index of yours)"


def source_facts(sources: Sequence[Source], cited: Sequence[Cited] = ()) -> list[dict[str, Any]]:
    """Sources for programs; those that are cited with the first sentence that was taken from them."""
    return [
        {
            "number": each.number,
            "document": each.document,
            "place": place,
            "text": each.text,
            "excerpt": text,
            "suspicious": each.is_suspicious,
        }
        for each in sources
        for quoted in [next((one.sentence for one in cited if each.number in one.numbers), "")]
        for place, text in [excerpt(each, quoted)]
    ]


def attempt_facts(reflection: Reflection) -> list[dict[str, Any]]:
    """The searches that were made, and which was kept."""
    return [
        {
            "strategy": each.strategy,
            "query": each.query,
            "confidence": _round(each.confidence),
            "kept": each is reflection.best,
        }
        for each in reflection.attempts
    ]


def answer_facts(outcome: Outcome, plan: Plan, model: str | None) -> dict[str, Any]:
    """An answer of the pipeline for programs."""
    return {
        **facts_of(outcome.question, outcome.answer, outcome.sources, plan.reader, model),
        "threshold": plan.threshold,
        "confidence": _round(outcome.confidence),
        "attempts": attempt_facts(outcome.reflection),
        "path": outcome.reflection.path,
        "seconds": {name: round(value, 3) for name, value in outcome.seconds.items()},
    }


def facts_of(
    question: str, answer: Answer, sources: Sequence[Source], reader: str, model: str | None
) -> dict[str, Any]:
    """An answer and its sources for programs."""
    return {
        "command": "step3_rag ask",
        "headline": " ".join(answer.text.split())[:160],
        "question": question,
        "answer": answer.text,
        "abstained": answer.is_unknown,
        "citations": [
            {
                "sentence": each.sentence,
                "cites": list(each.numbers),
                "supported": each.is_supported,
                "support": round(each.support, 2),
            }
            for each in answer.cited
        ],
        "sources": source_facts(sources, answer.cited),
        "reader": reader,
        "model": model,
        "stop_reason": answer.stop_reason,
        "usage": {"input_tokens": answer.input_tokens, "output_tokens": answer.output_tokens},
    }


def failed_facts(question: str, error: ChatError, why: str) -> dict[str, Any]:
    """What was found, where the chat model failed to answer from it."""
    return {
        "command": "step3_rag ask",
        "headline": f"no answer: {why}"[:160],
        "question": question,
        "answer": None,
        "error": why,
        "abstained": False,
        "confidence": _round(error.reflection.best.confidence),
        "citations": [],
        "sources": source_facts(error.sources),
        "attempts": attempt_facts(error.reflection),
        "path": error.reflection.path,
    }


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def show_answer(facts: Mapping[str, Any], console: Console, *, trace: bool, streamed: bool) -> None:
    """The answer with what it cites; the way there where it was asked for."""
    if facts.get("error"):
        console.print(f"No answer, but this was found. {facts['error']}", style="red", soft_wrap=True)
        show_sources(facts["sources"], console)
        return
    if not streamed:
        console.print(clean(facts["answer"]), soft_wrap=True)
    if facts["stop_reason"] not in (None, "end_turn", "stop_sequence"):
        console.print(f"(the answer is not whole: {facts['stop_reason']})", style="yellow")
    cited = {number for each in facts["citations"] for number in each["cites"]}
    unsupported = [each for each in facts["citations"] if not each["supported"]]
    show_sources([each for each in facts["sources"] if each["number"] in cited], console)
    if unsupported and not facts["abstained"]:
        n = len(unsupported)
        console.print(
            f"\n{n} of {len(facts['citations'])} sentences {'is' if n == 1 else 'are'} not borne out by what "
            f"{'it cites' if n == 1 else 'they cite'}: {unsupported[0]['sentence'][:120]}",
            style="yellow",
            soft_wrap=True,
        )
    shown = cited
    if facts["abstained"] and facts["sources"]:
        console.print("\nThe nearest that was found:", style="dim")
        show_sources(facts["sources"][:3], console)
        shown = cited | {each["number"] for each in facts["sources"][:3]}
    for each in facts["sources"]:
        if each["suspicious"] and each["number"] not in shown:
            console.print(f"\n{clean(each['place'])} was read, too, and {SUSPICIOUS}", style="yellow")
    console.print(f"\n{_foot(facts)}", style="dim", soft_wrap=True)
    for title, names in facts.get("names", {}).items():  # by which it was found in the graph
        console.print(clean(f"{title}: {', '.join(names) or 'none'}"), style="dim", soft_wrap=True)
    if trace:
        show_trace(facts, console)


def show_sources(sources: Sequence[Mapping[str, Any]], console: Console) -> None:
    """Numbered passages, cut to a line or two."""
    for each in sources:
        console.print()
        console.print(f"[{each['number']}] {clean(each['place'])}", style="bold", soft_wrap=True)
        text = " ".join(clean(each["excerpt"]).split())
        console.print(f"    {text}{' …' if len(text) == EXCERPT else ''}", soft_wrap=True)
        if each["suspicious"]:
            console.print(f"    ({SUSPICIOUS})", style="yellow")


def _foot(facts: Mapping[str, Any]) -> str:
    said = facts["confidence"]
    parts = ["no confidence" if said is None else f"confidence {said:.2f}"]
    if facts["abstained"] and said is not None and said < facts["threshold"]:
        parts = [f"confidence {said:.3f} is under the threshold {facts['threshold']:g}"]
    searches = max(1, len(facts["attempts"]))
    parts.append(f"{searches} search{'es' if searches > 1 else ''}")
    if facts["usage"]["input_tokens"] is not None:
        parts.append(
            f"{facts['usage']['input_tokens']} tokens read, {facts['usage']['output_tokens']} written"
        )
    parts.append(f"{sum(facts['seconds'].values()):.1f} s")
    return ", ".join(parts)


def show_trace(facts: Mapping[str, Any], console: Console) -> None:
    """The way through the graph, and every attempt."""
    console.print("\n" + " → ".join(facts["path"]), soft_wrap=True)
    for each in facts["attempts"]:
        mark = "kept" if each["kept"] else "    "
        said = "   -" if each["confidence"] is None else f"{each['confidence']:.2f}"
        console.print(f"{mark} {said}  {each['strategy']}: {each['query']}", soft_wrap=True)


def search_facts(found: Found, routed: Sequence[str] | None, confidence: float | None) -> dict[str, Any]:
    """A search for programs: each candidate with its rank and score at every stage."""
    best = found.best[0].chunk.source if found.best else "nothing found"
    return {
        "command": "step3_rag search",
        "headline": f"{found.query}: {best}",
        "question": found.query,
        "confidence": _round(confidence),
        "routed_to": list(routed) if routed is not None else None,
        "results": [_candidate(each) for each in found.best],
        "milliseconds": {name: round(1000 * value, 1) for name, value in found.seconds.items()},
    }


def _candidate(each: Candidate) -> dict[str, Any]:
    return {
        "chunk": each.chunk.id,
        "document": each.chunk.document,
        "place": each.chunk.source,
        "score": round(each.score, 4),
        "text": each.chunk.text,
        "stages": {
            name: {"rank": place.rank, "score": round(place.score, 4)} for name, place in each.stages.items()
        },
    }


def show_search(facts: Mapping[str, Any], console: Console, *, explain: bool) -> None:
    """The results; with `explain`, rank and score of each at every stage."""
    from rich.table import Table

    if not facts["results"]:
        console.print("nothing found")
    for number, each in enumerate(facts["results"], 1):
        place = clean(each["place"])
        console.print(f"[{number}] {place}  ({each['score']:.3f})", style="bold", soft_wrap=True)
        text = " ".join(clean(each["text"]).split())
        console.print(f"    {text[:160].rstrip()}{' …' if len(text) > 160 else ''}", soft_wrap=True)
    if explain and facts["results"]:
        names = list(dict.fromkeys(name for each in facts["results"] for name in each["stages"]))
        table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
        table.add_column("")
        for name in names:
            table.add_column(name, justify="right", no_wrap=True, min_width=max(7, len(name)))
        table.add_column("passage", no_wrap=True, overflow="ellipsis")
        for number, each in enumerate(facts["results"], 1):
            cells = [
                f"{each['stages'][name]['rank']} {each['stages'][name]['score']:.2f}"
                if name in each["stages"]
                else "-"
                for name in names
            ]
            table.add_row(f"[{number}]", *cells, each["place"])
        console.print("\nrank and score at every stage:")
        console.print(table)
    said = facts["confidence"]
    times = ", ".join(f"{name} {value:.0f}" for name, value in facts["milliseconds"].items())
    routed = ""
    if facts["routed_to"] is not None:
        routed = f"searched {' and '.join(facts['routed_to']) or 'all collections'}; "
    console.print(
        f"\n{routed}confidence {'unknown' if said is None else f'{said:.2f}'}; milliseconds: {times}",
        style="dim",
        soft_wrap=True,
    )


def show_ingest(facts: Mapping[str, Any], console: Console) -> None:
    """What went in, what didn't and why."""
    counts = ", ".join(f"{len(facts[name])} {name}" for name in ("new", "changed", "removed"))
    console.print(
        f"{facts['documents']} documents, {facts['chunks']} chunks in {facts['index']}: {counts}, "
        f"{facts['unchanged']} unchanged; {facts['seconds']:.1f} s",
        soft_wrap=True,
    )
    for name, why in facts["passed_over"].items():
        console.print(f"passed over: {name}: {why}", style="dim", soft_wrap=True)
    for name, why in facts["failed"].items():
        console.print(f"could not be read: {name}: {why}", style="red", soft_wrap=True)


def show_status(facts: Mapping[str, Any], console: Console) -> None:
    """Collections with their documents and chunks, and what the index takes on disk."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("collection")
    table.add_column("documents", justify="right")
    table.add_column("chunks", justify="right")
    for name, row in facts["collections"].items():
        table.add_row(name, str(row["documents"]), str(row["chunks"]))
    console.print(table)
    for each in facts["names"]:
        console.print(f"  {each}{_version(facts['versions'].get(each, {}))}", soft_wrap=True)
    console.print(
        f"\n{facts['index']}: {facts['embedder']}, chunks of {facts['chunk_size']} tokens overlapping by "
        f"{facts['chunk_overlap']}; {facts['megabytes']:.1f} MB on disk"
        + (f", {facts['megabytes_per_1000']:.0f} MB per 1,000 chunks" if facts["megabytes_per_1000"] else ""),
        style="dim",
        soft_wrap=True,
    )


def _version(facts: Mapping[str, Any]) -> str:
    """What a document says of its version: ` (superseded, version 2.1, until 2025-06-30)`."""
    status = "superseded" if facts.get("superseded") else facts.get("status")
    parts = [status] if status else []
    for key, word in (("version", "version"), ("valid_from", "from"), ("valid_until", "until")):
        parts += [f"{word} {facts[key]}"] if facts.get(key) else []
    return f" ({clean(', '.join(parts))})" if parts else ""
