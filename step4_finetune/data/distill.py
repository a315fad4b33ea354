"""Distillation: a stronger model writes replies, and those that pass the evaluator become rows.

    $ python -m step4_finetune data distill --model claude-sonnet-5-5 --requests 100 --out distilled.jsonl

The model writes one reply to each message. Where the evaluator finds a fault, the model is told and may try
once more. A reply that passes is appended to --out at once, any other to a file beside it with the reasons.
Both files are read first when the command runs again, so that a stopped run continues.

The evaluator checks the rules and, where a message has notes, fidelity, but not whether a reply makes sense:
read the rows before you train on them.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from anthropic.types import Message, MessageParam

from shared import prompts
from shared.config import Settings
from shared.errors import UserError
from shared.progress import track
from shared.report.record import ensure_writable
from step4_finetune.data.curate.finding import prompt_text
from step4_finetune.data.rows import Row, raw_rows, row_of, with_notes
from step4_finetune.tone import rules
from step4_finetune.tone.rules import Guide
from step4_finetune.tone.scores import score

PROMPTS = Path(__file__).parents[1] / "prompts"
MAX_TOKENS = 500
ATTEMPTS = 2  # at a reply


def read_messages(path: Path) -> list[Row]:
    """Messages to answer: the rows of train. Notes and topics are kept; replies are not, and may be missing.

    Raises:
        UserError: the file is missing, or holds no messages.
    """
    rows = [row for row in _without_replies(path) if row.split in ("", "train")]
    if not rows:
        raise UserError(f"{path} has no messages to train on: it needs rows with prompt and, at best, notes")
    return rows


def _without_replies(path: Path) -> list[Row]:
    rows = []
    for number, raw in raw_rows(path):
        if not raw.get("prompt", raw.get("message")):
            raise UserError(f"{path}:{number} has the columns {', '.join(map(str, raw))}: it needs prompt")
        rows.append(row_of({**raw, "chosen": "", "rejected": None}, f"{path}:{number}", number))
    return rows


def run(
    rows: Sequence[Row], guide: Guide, settings: Settings, out: Path, *, requests: int = 100
) -> dict[str, Any]:
    """Answer each row's message, until all are answered or `requests` are used.

    Raises:
        UserError: a file can't be written, or the model fails; the rows written until then stay.
    """
    from shared.chat.client import chat_client
    from shared.chat.errors import one_line_errors, with_timeouts

    if out.suffix != ".jsonl":
        raise UserError(f"--out {out} is not a name for rows: use one that ends in .jsonl")
    rejected = out.with_suffix(".filtered.jsonl")
    earlier = [row for path in (out, rejected) if path.exists() for row in _without_replies(path)]
    done = {prompt_text(row) for row in earlier}
    todo = list({prompt_text(row): row for row in rows if prompt_text(row) not in done}.values())
    ensure_writable(out), ensure_writable(rejected)
    client = with_timeouts(chat_client(settings=settings))
    system = prompts.render(prompts.load(PROMPTS, "distill"), guide=guide.as_prompt(with_shorthand=False))[
        "system"
    ]
    used = Counter(requests=0, input_tokens=0, output_tokens=0)

    def ask(turns: list[MessageParam]) -> Message:
        with one_line_errors(settings.model, settings):
            got = client.messages.create(
                model=settings.model, max_tokens=MAX_TOKENS, system=system, messages=turns
            )
        used.update(requests=1, input_tokens=got.usage.input_tokens, output_tokens=got.usage.output_tokens)
        return got

    kept, filtered, why = 0, 0, Counter[str]()
    for row in track(f"{settings.model} answers {len(todo)} messages", todo):
        if used["requests"] == requests:
            break
        reply, wrong = reply_to(row, guide, ask, min(ATTEMPTS, requests - used["requests"]))
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
        f"by {used['requests']} requests to {settings.model}",
        "model": settings.model,
        "not_asked": len(todo) - kept - filtered,
        "kept": kept,
        "filtered": filtered,
        "why": dict(why.most_common()),
        **used,
        "out": str(out) if out.exists() else None,
        "filtered_out": str(rejected) if rejected.exists() else None,
    }


def reply_to(
    row: Row, guide: Guide, ask: Callable[[list[MessageParam]], Message], attempts: int = ATTEMPTS
) -> tuple[str, list[str]]:
    """A reply to the row's message, and its faults: none if it can be used. `ask` makes one request."""
    message = with_notes(prompt_text(row), row.notes)
    turns: list[MessageParam] = [{"role": "user", "content": f"<message>\n{message}\n</message>"}]
    reply, wrong = "", ["not asked"]
    for _ in range(attempts):
        got = ask(turns)
        reply = "".join(block.text for block in got.content if block.type == "text").strip()
        wrong = faults(reply, str(got.stop_reason), row, guide)
        if not wrong or not reply:
            break
        turns.append({"role": "assistant", "content": reply})
        turns.append({"role": "user", "content": feedback(reply, guide, wrong)})
    return reply, wrong


def faults(reply: str, stop: str, row: Row, guide: Guide) -> list[str]:
    """Why a reply can't be used as a chosen one, the worst first."""
    if stop == "refusal" or not reply:
        return ["refused" if stop == "refusal" else "empty"]
    if stop == "max_tokens":
        return ["cut"]
    found = score(reply, guide, row.notes, row.message, row.compared_with)
    untrue = found.fidelity.findings() if found.fidelity else []
    wrong = [*untrue, *(found.flaws or ())]
    return [*found.problems, *found.broken, *(f"{kind}: {each}" for kind, each in wrong)]


def feedback(reply: str, guide: Guide, wrong: Sequence[str]) -> str:
    """What the model is told about its reply's faults."""
    say, found = {rule.id: rule.say for rule in guide.rules}, rules.reasons(reply, guide)
    lines = [
        f"- {say[each]} (found: {found[each] or 'broken'})" if each in found else f"- {each}"
        for each in wrong
    ]
    return "Not yet. What is wrong:\n" + "\n".join(lines) + "\nWrite the whole reply again, and nothing else."


def _append(path: Path, row: Mapping[str, Any]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row, ensure_ascii=False) + "\n")
