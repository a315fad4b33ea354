"""Pairs from a stronger model: it writes replies, the evaluator lets through what keeps the guide.

    $ python -m step4_finetune data distill --model claude-sonnet-5-5 --requests 100 --out pairs.jsonl

For each message one reply on tone; where the evaluator finds something broken, the model is told so and may
try once more. Then, if wanted, the same reply with one rule broken, for DPO: a near miss, the same content.
What is let through is appended to --out at once, what isn't to a file beside it, with the reason; both are
passed over when the command runs again, so a run that was stopped goes on where it was.

The evaluator sees rules and, where a message has notes, fidelity; not whether a reply is wise: read it before
you train on it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.config import Settings
from shared.errors import UserError
from shared.progress import count_bar
from shared.report.record import writable
from step4_finetune.data.curate.finding import prompt_text, short
from step4_finetune.data.files import read_jsonl, read_text
from step4_finetune.data.rows import Row, raw_rows, row_of
from step4_finetune.data.teacher import Ask, SpentError, Tally, asker, off_tone, on_tone
from step4_finetune.tone import rules
from step4_finetune.tone.rules import Guide

if TYPE_CHECKING:
    from rich.console import Console

FEW = 0.3  # share let through, under which a stronger model is advised


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
    rows = []
    for number, raw in raws:
        kept = {key: value for key, value in raw.items() if key not in ("completion", "rejected", "breaks")}
        rows.append(row_of({**kept, "chosen": ""}, f"{path}:{number}", number))
    return rows


# --- the run ----------------------------------------------------------------------------------------------


def run(
    rows: Sequence[Row],
    guide: Guide,
    settings: Settings,
    out: Path,
    *,
    requests: int = 100,
    attempts: int = 2,
    rejected: bool = True,
) -> dict[str, Any]:
    """Ask for a reply to each row's message, until all are done or the budget of requests is.

    Raises:
        UserError: a value that is not allowed, a file that can't be written, or the model fails; what was let
            through until then is in the file.
    """
    from shared.chat.client import chat_client
    from shared.chat.errors import with_timeouts

    if requests < 1 or attempts < 1:
        raise UserError(f"--requests {requests} and --attempts {attempts}: both must be 1 or more")
    if out.suffix != ".jsonl":
        raise UserError(f"--out {out} is no name for pairs: use one that ends in .jsonl")
    aside = out.with_suffix(".filtered.jsonl")
    done = {text for path in (out, aside) for text in _prompts(path)}
    todo = list({prompt_text(row): row for row in rows if prompt_text(row) not in done}.values())
    writable(out), writable(aside)
    tally, began, answered = Tally(requests), time.perf_counter(), 0
    ask = asker(with_timeouts(chat_client(settings=settings)), settings, tally)
    with count_bar(f"{settings.model} answers {len(todo)} messages", len(todo)) as progress:
        for row in todo:
            progress(answered, len(todo))
            try:
                _one(ask, row, guide, attempts, rejected, tally, out, aside)
            except SpentError:
                break
            answered += 1
    return _facts(settings, tally, out, aside, len(rows), len(todo), answered, time.perf_counter() - began)


def _one(
    ask: Ask,
    row: Row,
    guide: Guide,
    attempts: int,
    rejected: bool,
    tally: Tally,
    out: Path,
    aside: Path,
) -> None:
    """One message: asked, filtered, written.

    Raises:
        SpentError: no request is left; a chosen reply that came is kept without a rejected one.
    """
    reply, wrong = on_tone(ask, row, guide, attempts)
    if wrong:
        tally.filtered += 1
        tally.why.update(wrong)
        tally.examples.append({"id": row.id, "why": ", ".join(wrong), "reply": reply})
        _append(aside, {"id": row.id, "message": prompt_text(row), "reply": reply, "why": wrong})
        return
    row = replace(row, chosen=reply, rejected=None, breaks=None)
    try:
        if rejected:
            rule = guide.rules[tally.kept % len(guide.rules)].id  # in turn, so that every rule is broken
            other, wrong = off_tone(ask, row, guide, rule)
            tally.why.update(wrong)
            if not wrong:
                row = replace(row, rejected=other, breaks=rules.broken(other, guide))
                tally.pairs += 1
    finally:  # also where the budget ended, or the model failed, between the two
        tally.kept += 1
        own = {name: each for name, each in row.labels().items() if name != "notes"}
        asked = {"message": row.message} if len(row.prompt) == 1 else {"prompt": list(row.prompt)}
        said = {"notes": list(row.notes), "chosen": row.chosen, "rejected": row.rejected}
        breaks = None if row.breaks is None else list(row.breaks)
        _append(out, {**own, **asked, **said, "breaks": breaks})


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
    if not path.exists():
        return
    for number, row in read_jsonl(path):
        asked = row.get("message") or row.get("prompt")
        if not asked:
            raise UserError(f"{path}:{number} is no row of an earlier run: name another file with --out")
        if isinstance(asked, list):
            asked = "\n".join(each["content"] for each in asked if each["role"] != "system")
        yield asked


def _facts(
    settings: Settings, tally: Tally, out: Path, aside: Path, n: int, todo: int, answered: int, seconds: float
) -> dict[str, Any]:
    from shared import hardware
    from shared.catalog import lookup

    price = None if settings.base_url else lookup(settings.model).price
    cost = price.cost(tally.input_tokens, tally.output_tokens) if price else None
    return {
        "command": "step4_finetune data-distill",
        "headline": f"{tally.kept} of {answered} messages have a reply that keeps the guide, "
        f"by {tally.requests} requests to {settings.model}",
        "model": settings.model,
        "messages": n,
        "there_already": n - todo,
        "asked": answered,
        "not_asked": todo - answered,
        "requests": tally.requests,
        "budget": tally.budget,
        "kept": tally.kept,
        "pairs": tally.pairs,
        "filtered": tally.filtered,
        "why": dict(tally.why.most_common()),
        "examples": tally.examples[:3],
        "input_tokens": tally.input_tokens,
        "output_tokens": tally.output_tokens,
        "dollars": cost,
        "seconds": round(seconds, 1),
        "out": str(out) if tally.kept or out.exists() else None,
        "filtered_out": str(aside) if aside.exists() else None,
        "machine": hardware.describe(),
    }


def show(facts: Mapping[str, Any], console: Console) -> None:
    """What came of it, why the rest was filtered, and an example."""
    console.print(f"{facts['headline']}; {facts['pairs']} of them as a pair", soft_wrap=True)
    if facts["there_already"]:
        console.print(f"{facts['there_already']} messages were there already, or twice")
    if facts["why"]:
        counted = ", ".join(f"{why} {n}" for why, n in facts["why"].items())
        console.print(f"filtered: {counted}", soft_wrap=True)
    for each in facts["examples"]:
        console.print(f"  {each['id']}: {each['why']}: {short(each['reply'])}", soft_wrap=True)
    if facts["asked"] and facts["kept"] < FEW * facts["asked"]:
        console.print(
            f"few replies of {facts['model']} pass; a stronger model (--model) passes more", soft_wrap=True
        )
    if facts["not_asked"]:
        console.print(
            f"{facts['not_asked']} messages not asked: the budget of {facts['budget']} requests is used up; "
            "the same command goes on with them",
            soft_wrap=True,
        )
    cost = "" if facts["dollars"] is None else f", {facts['dollars']:.4f} dollars"
    console.print(
        f"{facts['input_tokens']} tokens read, {facts['output_tokens']} written{cost}, "
        f"{facts['seconds']:g} s, {facts['machine']}",
        soft_wrap=True,
    )
    for what, path in (("kept", facts["out"]), ("filtered", facts["filtered_out"])):
        if path:
            console.print(f"{what}: {path}", soft_wrap=True)
