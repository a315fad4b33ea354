"""Replies from a stronger model: it writes them, the evaluator lets through what keeps the guide.

    $ python -m step4_finetune data distill --model claude-sonnet-5-5 --requests 100 --out distilled.jsonl

For each message one reply on tone; where the evaluator finds something broken, the model is told so and may
try once more. What is let through is appended to --out at once, what isn't to a file beside it, with the
reason; both are passed over when the command runs again, so a run that was stopped goes on where it was.

The evaluator sees rules and, where a message has notes, fidelity; not whether a reply is wise: read it before
you train on it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.config import Settings
from shared.errors import UserError
from shared.progress import count_bar
from shared.report.record import writable
from step4_finetune.data.curate.finding import prompt_text
from step4_finetune.data.files import read_jsonl, read_text
from step4_finetune.data.rows import Row, raw_rows, row_of
from step4_finetune.data.teacher import SpentError, Teacher
from step4_finetune.tone.rules import Guide

if TYPE_CHECKING:
    from rich.console import Console


def read_messages(path: Path) -> list[Row]:
    """Messages to be answered: a text file with one a line, or JSON lines or CSV with message or prompt.

    Other columns (topic, notes ...) are kept; replies are not.

    Raises:
        UserError: there is no such file, or there are no messages in it.
    """
    if path.suffix == ".txt":
        raws: list[tuple[int, Mapping[str, Any]]] = [
            (number, {"id": f"{path.stem}-{number}", "message": line.strip()})
            for number, line in enumerate(read_text(path).splitlines(), 1)
            if line.strip()
        ]
    else:
        raws = list(raw_rows(path))
    if not raws:
        raise UserError(f"{path} has no messages: write one a line")
    return [row_of({**raw, "chosen": ""}, f"{path}:{number}", number) for number, raw in raws]


def run(
    rows: Sequence[Row],
    guide: Guide,
    settings: Settings,
    out: Path,
    *,
    requests: int = 100,
    attempts: int = 2,
) -> dict[str, Any]:
    """Ask for a reply to each row's message, until all are done or the budget of requests is.

    Raises:
        UserError: a file that can't be written, or the model fails; what was let through until then is in
            the file.
    """
    if out.suffix != ".jsonl":
        raise UserError(f"--out {out} is not a name for rows: use one that ends in .jsonl")
    aside = out.with_suffix(".filtered.jsonl")
    done = {text for path in (out, aside) for text in _prompts(path)}
    todo = list({prompt_text(row): row for row in rows if prompt_text(row) not in done}.values())
    writable(out), writable(aside)
    teacher = Teacher(settings, guide, requests)
    kept, filtered, why = 0, 0, Counter[str]()
    with count_bar(f"{settings.model} answers {len(todo)} messages", len(todo)) as progress:
        for at, row in enumerate(todo):
            progress(at, len(todo))
            try:
                reply, wrong = teacher.reply(row, attempts)
            except SpentError:
                break
            if wrong:
                filtered += 1
                why.update(wrong)
                _append(aside, {"id": row.id, "message": prompt_text(row), "reply": reply, "why": wrong})
            else:
                kept += 1
                asked = {"message": row.message} if len(row.prompt) == 1 else {"prompt": row.prompt}
                _append(out, {**row.labels(), **asked, "chosen": reply})
    return {
        "command": "step4_finetune data-distill",
        "headline": f"{kept} of {kept + filtered} messages have a reply that keeps the guide, "
        f"by {teacher.requests} requests to {settings.model}",
        "model": settings.model,
        "not_asked": len(todo) - kept - filtered,
        "requests": teacher.requests,
        "kept": kept,
        "filtered": filtered,
        "why": dict(why.most_common()),
        "input_tokens": teacher.input_tokens,
        "output_tokens": teacher.output_tokens,
        "dollars": teacher.dollars(),
        "out": str(out) if out.exists() else None,
        "filtered_out": str(aside) if aside.exists() else None,
    }


def _append(path: Path, row: Mapping[str, Any]) -> None:
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}; what was written stays") from None


def _prompts(path: Path) -> Iterator[str]:
    """The messages that a file of an earlier run has.

    Raises:
        UserError: it is no such file.
    """
    for number, row in read_jsonl(path) if path.exists() else ():
        if "message" not in row and "prompt" not in row:
            raise UserError(f"{path}:{number} is not a row of an earlier run: name another file with --out")
        yield prompt_text(row_of({**row, "chosen": "", "rejected": None}, f"{path}:{number}", number))


def show(facts: Mapping[str, Any], console: Console) -> None:
    """What came of it, why the rest was filtered, and what it cost."""
    console.print(facts["headline"], soft_wrap=True)
    if facts["why"]:
        counted = ", ".join(f"{why} {n}" for why, n in facts["why"].items())
        console.print(f"filtered: {counted}", soft_wrap=True)
    if facts["not_asked"]:
        console.print(
            f"{facts['not_asked']} messages not asked: the budget of requests is used up; "
            "the same command goes on with them",
            soft_wrap=True,
        )
    cost = "" if facts["dollars"] is None else f", {facts['dollars']:.4f} dollars"
    console.print(f"{facts['input_tokens']} tokens read, {facts['output_tokens']} written{cost}")
    for what, path in (("kept", facts["out"]), ("filtered", facts["filtered_out"])):
        if path:
            console.print(f"{what}: {path}", soft_wrap=True)
