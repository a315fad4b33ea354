"""Prints what telemetry and evaluation found: summary, calls, one call, report, replay, comparison."""

from collections.abc import Mapping, Sequence
from typing import Any

from shared.cli import Console, Table, plain_table
from step5_serving.telemetry.report import MEASURES, Measure

STAGES = ("queue", "retrieve", "rerank", "generate", "first_token", "total")


def show_summary(facts: Mapping[str, Any], console: Console) -> None:
    """Counts, percentiles, prompt versions, questions with low confidence."""
    rate = "" if facts["error_rate"] is None else f" ({facts['error_rate']:.1%})"
    cost = "unknown" if facts["cost_usd"] is None else f"${facts['cost_usd']:.4f}"
    if facts["unknown_costs"] and facts["cost_usd"] is not None:
        cost += f", unknown for {facts['unknown_costs']} of the calls"
    console.print(
        f"calls: {facts['calls']:,}, errors: {facts['errors']:,}{rate}, refused: {facts['refused']:,}, "
        f"I don't know: {facts['abstained']:,}\ntokens: {facts['tokens']['input']:,} in, "
        f"{facts['tokens']['output']:,} out; cost {cost}",
        soft_wrap=True,
    )
    if facts["running"] or facts["lost"]:
        console.print(f"{facts['running']} under way, {facts['lost']} lost when their process ended")
    table = plain_table("ms", "p50", "p95", right=("p50", "p95"))
    for stage, row in facts["latency_ms"].items():
        if row["p50"] is not None:
            table.add_row(stage.replace("_", " "), number(row["p50"]), number(row["p95"]))
    _print_rows(table, console)
    names = ("calls", "p50", "p95", "confidence", "errors")
    table = plain_table("prompt", *names, right=names)
    for row in facts["by_prompt_version"]:
        times = (number(row["p50_ms"]), number(row["p95_ms"]))
        sure, errors = number(row["mean_confidence"], 2), f"{row['error_rate']:.1%}"
        table.add_row(row["prompt_version"], str(row["calls"]), *times, sure, errors)
    _print_rows(table, console)
    if facts["low_confidence"]:
        console.print("\nlow confidence", style="bold")
    for row in facts["low_confidence"]:
        console.print(f"{row['confidence']:.2f}  {row['trace_id'][:8]}  {row['question']}", soft_wrap=True)


def show_calls(facts: Mapping[str, Any], console: Console) -> None:
    """One line per call."""
    table = _question_table("call", "when (UTC)", "", "ms", "sure", "tokens", "question")
    for row in facts["calls"]:
        status = (
            "running" if row["state"] == "running" else f"{row['status']} {row['error_type'] or ''}".strip()
        )
        when = row["started_at"][5:19].replace("T", " ")
        figures = (number(row["total_ms"]), number(row["confidence"], 2), _tokens(row))
        asked = " ".join((row["question"] or row["route"]).split())
        table.add_row(row["trace_id"][:8], when, status, *figures, asked)
    console.print(table)


def show_errors(facts: Mapping[str, Any], console: Console) -> None:
    """One line per question with the reasons to review it; then what was written."""
    table = _question_table("call", "why", "sure", "question")
    for row in facts["calls"]:
        said = f" ({row['comment']})" if row["comment"] else ""
        asked, why = " ".join((row["question"] + said).split()), ", ".join(row["reasons"])
        table.add_row(row["span_id"][:8], why, number(row["confidence"], 2), asked)
    console.print(table)
    console.print(facts["headline"])
    if facts.get("out"):
        made = facts["set"]
        console.print(
            f"{facts['out']}: questions {made['questions']}, passages {made['passages']}, "
            f"judgements of 0: {made['judgements']}\n"
            f"Put 1 in {facts['out']}/qrels/test.tsv where the passage "
            f"answers the question, then: python -m step3_rag evaluate --dataset {facts['out']}",
            soft_wrap=True,
        )


def show_one(facts: Mapping[str, Any], console: Console) -> None:
    """Question, answer, attempts, times, tokens and passages of a call."""
    console.print(facts["question"] or f"(no question: {facts['route']})", style="bold")
    state = "it is under way" if facts["state"] == "running" else f"{facts['status']} {facts['error_type']}"
    console.print(facts["answer"] or state)
    table = plain_table("attempt", "sure", "query", right=("sure",))
    for each in facts["attempts"]:
        name = f"{each['strategy']}{' (taken)' if each.get('took') else ''}"
        table.add_row(name, number(each.get("confidence"), 2), each["query"])
    _print_rows(table, console)
    times = {stage.replace("_", " "): facts[f"{stage}_ms"] for stage in STAGES}
    known = ", ".join(f"{name} {number(value)}" for name, value in times.items() if value is not None)
    cost = "unknown" if facts["cost_usd"] is None else f"${facts['cost_usd']:.6f}"
    console.print(f"\nms: {known or 'unknown'}\ntokens: {_tokens(facts)}; cost {cost}")
    console.print(f"{facts['model']} on {facts['engine']}; prompt {facts['prompt_version'] or 'none'}")
    console.print(f"{facts['started_at']}, trace {facts['trace_id']}, span {facts['span_id']}")
    if facts["thumb"] or facts["comment"]:
        console.print(f"feedback: {facts['thumb'] or '-'} {facts['comment'] or ''}".rstrip(), soft_wrap=True)
    for each in facts["sources"]:
        console.print(f"\n[{each['number']}] {each['place']}", style="bold")
        console.print(each["text"])


def show_report(facts: Mapping[str, Any], console: Console) -> None:
    """What is worse, and one row per measure that has a value, with 95 % intervals in brackets."""
    for line in facts["worse"] or ["Nothing is worse."]:
        console.print(line, style="bold", soft_wrap=True)
    names = ("now", "before", "difference")
    table = plain_table("", *names, " ", right=names)
    for measure in MEASURES:
        row = facts["measures"][measure.name]
        if row["value"] is None:
            continue
        figures = (
            _with_interval(measure, row["value"], row["interval_95"]),
            _with_interval(measure, row.get("baseline"), None),
            _with_interval(measure, row.get("difference"), row.get("difference_95"), sign="+"),
        )
        table.add_row(measure.title, *figures, measure.worse if row.get("regressed") else "")
    console.print(table)
    console.print(f"calls: {facts['calls']:,}, before: {facts['calls_before']:,}", style="dim")


def show_replay(facts: Mapping[str, Any], console: Console) -> None:
    """The answer or the difference, then the notes and the figures."""
    console.print(facts["question"], style="bold")
    if not facts["equal"]:
        console.print(f"- {facts['old']['answer']}", style="red")
    console.print(f"{'' if facts['equal'] else '+ '}{facts['new']['answer']}\n")
    for note in facts["notes"]:
        console.print(f"note: {note}", soft_wrap=True)
    same, total = facts["passages"].count("same"), len(facts["passages"])
    console.print(
        f"{facts['headline']}, {same} of {total} passages are in the index as they were\n"
        f"before {_side(facts['old'])}\nnow    {_side(facts['new'])}",
        soft_wrap=True,
    )


def show_comparison(facts: Mapping[str, Any], console: Console) -> None:
    """The measures with their differences, and answers that changed sides."""
    from step5_serving.evaluation.compare import MEASURES

    names = ["n", *(facts[side].split("@")[0] for side in "ab"), "difference", "95 % interval"]
    table = plain_table("", *names, right=names)
    for name, row in facts["measures"].items():
        title, digits = MEASURES[name]
        change, interval = row["difference"].mean, row["difference"].interval_95
        shown = " to ".join(number(each, digits) for each in interval or ()) or "-"
        means = number(row["a"], digits), number(row["b"], digits), number(change, digits, "+")
        table.add_row(title, str(row["n"]), *means, shown)
    console.print(table)
    for row in facts["changed"][:4]:
        console.print(f"\n{row['question']} (only {row['right']} is right: {row['reference']})", style="bold")
        console.print(f"    a: {row['a'][:200]}\n    b: {row['b'][:200]}", soft_wrap=True)
    console.print(
        f"\n{facts['headline']}; {facts['gained']} right answers gained, {facts['lost']} lost "
        f"(p = {facts['p']:.2f})\n{facts['dataset']}: {facts['n']} questions; {facts['model']} on "
        f"{facts['engine']}; {facts['machine']}",
        soft_wrap=True,
    )


def _with_interval(
    measure: Measure, value: float | None, interval: Sequence[float] | None, sign: str = ""
) -> str:
    """`1,840 (1,700 to 1,910)`, or the value alone if there is no interval."""
    texts = [number(each, measure.digits, sign) for each in (value, *(interval or ()))]
    return f"{texts[0]} ({texts[1]} to {texts[2]})" if interval else texts[0]


def _question_table(*names: str) -> Table:
    """A table of one-line rows whose last column, the question, takes the rest of the line."""
    table = plain_table(*names, right=("", "ms", "sure", "tokens"))
    for column in table.columns:
        column.no_wrap = True
    table.expand, question = True, table.columns[-1]
    question.overflow, question.ratio = "ellipsis", 1
    return table


def _print_rows(table: Table, console: Console) -> None:
    """Print a table that has rows, after an empty line."""
    if table.row_count:
        console.print()
        console.print(table)


def number(value: float | None, digits: int | None = None, sign: str = "") -> str:
    """`-` if unknown; without `digits`, one decimal below 100, none above."""
    if value is None:
        return "-"
    if digits is None:
        digits = 1 if value < 100 else 0
    return f"{value:{sign},.{digits}f}"


def _tokens(row: Mapping[str, Any]) -> str:
    read, wrote = (row[f"{side}_tokens"] for side in ("input", "output"))
    return "unknown" if read is None or wrote is None else f"{read:,}+{wrote:,}"


def _side(side: Mapping[str, Any]) -> str:
    ms = number(side["generate_ms"], 0)
    return f"{_tokens(side)} tokens, {ms} ms ({side['model']}, {side['engine']})"
