"""Distillation: a stronger model writes replies, and those that pass the evaluator become rows.

    $ python -m step4_finetune data distill --model claude-sonnet-5-5 --requests 100 --out distilled.jsonl

The model writes one reply to each message. Where the evaluator finds a fault, the model is told and may try
once more. A reply that passes is appended to --out at once, any other to a file beside it with the reasons.
Both files are read first when the command runs again, so that a stopped run continues.

The evaluator checks the rules and, where a message has notes, fidelity, but not whether a reply makes sense:
read the rows before you train on them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from shared import prompts
from shared.config import Settings
from shared.errors import UserError
from shared.progress import count_bar
from shared.report.record import ensure_writable
from step4_finetune.data.curate.finding import prompt_text
from step4_finetune.data.files import read_jsonl, read_text
from step4_finetune.data.rows import Row, raw_rows, row_of, with_notes
from step4_finetune.tone import rules
from step4_finetune.tone.rules import Guide
from step4_finetune.tone.scores import score

PROMPTS = Path(__file__).parents[1] / "prompts"
MAX_TOKENS = 500
ATTEMPTS = 2  # at a reply


def read_messages(path: Path) -> list[Row]:
    """Messages to answer: a text file with one a line, or the rows of train in JSON lines or CSV.

    Other columns (topic, notes ...) are kept; replies are not, and may be missing.

    Raises:
        UserError: the file is missing, or holds no messages.
    """
    if path.suffix == ".txt":
        lines = enumerate(map(str.strip, read_text(path).splitlines()), 1)
        raws: Iterable[tuple[int, Mapping[str, Any]]] = (
            (number, {"id": f"{path.stem}-{number}", "message": line}) for number, line in lines if line
        )
    else:
        raws = raw_rows(path)
    every = [row_of({**raw, "chosen": ""}, f"{path}:{number}", number) for number, raw in raws]
    rows = [row for row in every if row.split in ("", "train")]
    if not rows:
        raise UserError(f"{path} has no messages: write one a line")
    return rows


def run(
    rows: Sequence[Row], guide: Guide, settings: Settings, out: Path, *, requests: int = 100
) -> dict[str, Any]:
    """Answer each row's message, until all are answered or `requests` are used.

    Raises:
        UserError: a file can't be written, or the model fails; the rows written until then stay.
    """
    if out.suffix != ".jsonl":
        raise UserError(f"--out {out} is not a name for rows: use one that ends in .jsonl")
    rejected = out.with_suffix(".filtered.jsonl")
    done = {text for path in (out, rejected) for text in _answered(path)}
    todo = list({prompt_text(row): row for row in rows if prompt_text(row) not in done}.values())
    ensure_writable(out), ensure_writable(rejected)
    teacher = Teacher(settings, guide, requests)
    kept, filtered, why = 0, 0, Counter[str]()
    with count_bar(f"{settings.model} answers {len(todo)} messages", len(todo)) as progress:
        for at, row in enumerate(todo):
            progress(at, len(todo))
            if teacher.used["requests"] == requests:
                break
            reply, wrong = teacher.reply(row)
            if wrong:
                filtered += 1
                why.update(wrong)
                _append(rejected, {"id": row.id, "message": prompt_text(row), "reply": reply, "why": wrong})
            else:
                kept += 1
                asked = {"message": row.message} if len(row.prompt) == 1 else {"prompt": row.prompt}
                _append(out, {**row.labels(), **asked, "chosen": reply})
    return {
        "command": "step4_finetune data-distill",
        "headline": f"{kept} of {kept + filtered} messages have a reply that keeps the guide, "
        f"by {teacher.used['requests']} requests to {settings.model}",
        "model": settings.model,
        "not_asked": len(todo) - kept - filtered,
        "kept": kept,
        "filtered": filtered,
        "why": dict(why.most_common()),
        **teacher.used,
        "out": str(out) if out.exists() else None,
        "filtered_out": str(rejected) if rejected.exists() else None,
    }


class Teacher:
    """The chat model of the settings, with a budget of requests; counts requests and tokens in `used`."""

    def __init__(self, settings: Settings, guide: Guide, budget: int) -> None:
        from shared.chat.client import chat_client
        from shared.chat.errors import with_timeouts

        self.client = with_timeouts(chat_client(settings=settings))
        self.settings, self.guide, self.budget = settings, guide, budget
        self.system = prompts.render(prompts.load(PROMPTS, "distill"), guide=guide.as_prompt())["system"]
        self.used = {"requests": 0, "input_tokens": 0, "output_tokens": 0}

    def reply(self, row: Row) -> tuple[str, list[str]]:
        """A reply to the row's message, and its faults: none if it can be used."""
        from shared.chat.errors import one_line_errors

        message = with_notes(prompt_text(row), row.notes)
        turns: list[Any] = [{"role": "user", "content": f"<message>\n{message}\n</message>"}]
        reply, wrong = "", ["not asked"]
        for _ in range(min(ATTEMPTS, self.budget - self.used["requests"])):
            self.used["requests"] += 1
            with one_line_errors(self.settings.model, self.settings):
                got = self.client.messages.create(
                    model=self.settings.model, max_tokens=MAX_TOKENS, system=self.system, messages=turns
                )
            self.used["input_tokens"] += got.usage.input_tokens
            self.used["output_tokens"] += got.usage.output_tokens
            reply = "".join(block.text for block in got.content if block.type == "text").strip()
            wrong = faults(reply, str(got.stop_reason), row, self.guide)
            if not wrong or not reply:
                break
            turns.append({"role": "assistant", "content": reply})
            turns.append({"role": "user", "content": feedback(reply, self.guide, wrong)})
        return reply, wrong


def faults(reply: str, stop: str, row: Row, guide: Guide) -> list[str]:
    """Why a reply can't be used as a chosen one, the worst first."""
    if stop == "refusal" or not reply:
        return ["refused" if stop == "refusal" else "empty"]
    if stop == "max_tokens":
        return ["cut"]
    found = score(reply, guide, row.notes, row.message)
    untrue = found.fidelity.findings() if found.fidelity else []
    return [*found.problems, *found.broken, *(f"{kind}: {each}" for kind, each in untrue)]


def feedback(reply: str, guide: Guide, wrong: Sequence[str]) -> str:
    """What the model is told about its reply's faults."""
    rule_text, why = {rule.id: rule.say for rule in guide.rules}, rules.reasons(reply, guide)
    lines = [
        f"- {rule_text[each]} (found: {why.get(each) or 'broken'})" if each in rule_text else f"- {each}"
        for each in wrong
    ]
    return "Not yet. What is wrong:\n" + "\n".join(lines) + "\nWrite the whole reply again, and nothing else."


def _append(path: Path, row: Mapping[str, Any]) -> None:
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}; what was written stays") from None


def _answered(path: Path) -> Iterator[str]:
    """The messages that an earlier run wrote to this file.

    Raises:
        UserError: it holds something else.
    """
    for number, row in read_jsonl(path) if path.exists() else ():
        if "message" not in row and "prompt" not in row:
            raise UserError(f"{path}:{number} is not a row of an earlier run: name another file with --out")
        yield prompt_text(row_of({**row, "chosen": "", "rejected": None}, f"{path}:{number}", number))
