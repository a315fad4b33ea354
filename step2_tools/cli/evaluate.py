"""The command `evaluate`: labelled questions in several styles."""

import json
from collections.abc import Sequence
from pathlib import Path

from shared.cli import Console, Table, plain_table
from shared.config import Settings
from shared.stats import percent
from step2_tools.cli.setup import connect, tool_definitions
from step2_tools.evaluate import bfcl, questions
from step2_tools.evaluate.run import EvaluateReport, WrongCalls, evaluate_styles


def evaluate(
    settings: Settings, split: str, bfcl_file: Path | None, styles: Sequence[str] | None, limit: int | None
) -> EvaluateReport:
    """Measure the styles with a split of our questions, or with a file of Berkeley's."""
    labelled = bfcl.read(bfcl_file) if bfcl_file else questions.read(split)
    with connect(settings) as client:
        return evaluate_styles(settings, client, tool_definitions(), labelled, styles, limit)


def show(report: EvaluateReport, console: Console) -> None:
    """Results by style and by kind of question, and some wrong answers."""
    console.print(_styles_table(report))
    if report.by_kind:
        console.print("", _kinds_table(report), sep="\n")
    if report.wrong:
        _show_wrong(report.wrong, console)
    console.print(
        f"\n{report.model}; shares with 95% intervals, means of tokens, median of seconds; {report.machine}",
        soft_wrap=True,
    )


def _styles_table(report: EvaluateReport) -> Table:
    rows = []
    for name, style in report.styles.items():
        rows.append(
            (
                name,
                str(style.n),
                percent(style.valid),
                percent(style.right_tool),
                percent(style.right_arguments),
                percent(style.needless),
                f"{style.input_tokens:.0f}",
                f"{style.output_tokens:.0f}",
                f"{style.seconds:.2f}",
            )
        )
    shares = ("valid calls", "right tool", "right arguments", "needless calls")
    return _narrow_table("", "n", *shares, "tokens in", "tokens out", "s", rows=rows)


def _kinds_table(report: EvaluateReport) -> Table:
    rows = []
    for name, kind in report.by_kind.items():
        rows.append((name, str(kind.right_tool.n), percent(kind.right_tool), percent(kind.right_arguments)))
    return _narrow_table("native, by kind", "n", "right tool", "right arguments", rows=rows)


def _narrow_table(first: str, *names: str, rows: Sequence[Sequence[str]]) -> Table:
    """One word per line in the header, so that a row fits into 100 characters."""
    columns = [name.replace(" ", "\n") for name in names]
    return plain_table(first, *columns, rows=rows, right=columns, gap=1)


def _show_wrong(wrong: Sequence[WrongCalls], console: Console) -> None:
    """Up to five questions of the first style that has any."""
    style = wrong[0].style
    of_style = [question for question in wrong if question.style == style]
    shown = of_style[:5]
    console.print(f"\n{len(shown)} of {len(of_style)} wrong answers, {style}", style="bold")
    for question in shown:
        reply = question.text
        if question.calls is not None:
            reply = json.dumps(question.calls, ensure_ascii=False)
        reply = " ".join(reply.split())
        console.print(f"{question.id}  {question.question}\n    {reply[:300]}", soft_wrap=True)
