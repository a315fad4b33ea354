"""Rows: a member's message, the notes of the staff, the reply to learn, and one to avoid.

    >>> row.message
    'my kettle leaks at the base. What do I pay myself?'
    >>> row.notes
    ('cov ok / tech tue am / exc 50', 'int: 2nd complaint this mth')
    >>> row.facts, row.internal
    (('excess 50', 'covered', ...), ('This is your second complaint this month.',))
    >>> row.chosen
    'Dear member,\\n\\nThe excess is £50, and your kettle is covered. ...'

The notes say what the company decided; the model only puts it into words. A prompt is the message with the
notes below it. Files are JSON lines or CSV in TRL's formats:

    prompt, completion             for SFT
    prompt, chosen, rejected       for DPO, and for SFT by its chosen replies

A prompt is a text or a list of messages, a reply a text or a list of one message. Optional columns of this
step: notes, facts, internal and breaks (a list of texts, or one text with a line each), id, topic, split.
`facts` are the notes written out, first the one that answers the message, and `internal` those for staff
only; no model sees them, replies are compared with them. Rows without `facts` are compared with the notes
themselves. Rows without notes train as well; whether their replies are true is unknown. Rows without
`split` are divided by topic, or by prompt where there is no topic: 80 % train, 10 % dev, 10 % test.
"""

import csv
import difflib
import hashlib
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from shared.errors import UserError, reason
from step4_finetune.data.files import digest, read_jsonl, read_text
from step4_finetune.tone.scores import Compared

SAMPLE = Path(__file__).parents[1] / "sample" / "rows.jsonl"
GUIDE = SAMPLE.with_name("guide.yaml")
LABELLED = SAMPLE.with_name("labelled.jsonl")  # by rules
LABELLED_REPLIES = SAMPLE.with_name("labelled_replies.jsonl")  # blind: faithful, reads as one reply
PLAIN = SAMPLE.with_name("plain.jsonl")  # an earlier task, whose notes are nearly sentences
OPTIONAL = ("notes", "facts", "internal", "breaks", "rejected", "topic", "split")
SPLITS = ("train", "dev", "test")
MESSAGES = re.compile(r"""\s*\[\s*\{\s*['"]""")  # how a JSON list of messages begins in a CSV cell,
TEXTS = re.compile(r"""\s*\[\s*['"\]]""")  # and one of texts
ROLES = ("system", "user", "assistant", "tool")
SHARES = (0.8, 0.1, 0.1)  # of the splits, where rows name none
FACTS = "facts"  # in `breaks`, beside the guide's rules: the rejected reply is not faithful

Message = dict[str, str]  # {"role": "user", "content": "..."}


@dataclass(frozen=True)
class Row:
    """One message and its replies. Unknown values are None, or empty."""

    id: str
    prompt: tuple[Message, ...]
    chosen: str
    rejected: str | None = None
    split: str = "train"
    topic: str | None = None
    notes: tuple[str, ...] = ()  # what the company decided and knows: a reply says all of it, nothing else
    facts: tuple[str, ...] = ()  # the notes for the member, written out; the answer to the message first
    internal: tuple[str, ...] = ()  # the notes for staff only, written out
    breaks: tuple[str, ...] | None = None  # rules that `rejected` breaks, and FACTS if it is not faithful

    @property
    def message(self) -> str:
        """The member's last message."""
        return self.prompt[-1]["content"]

    def with_system(self, system: str) -> list[Message]:
        """The prompt with its notes, under a system message, unless the row has its own."""
        asked = {"role": "user", "content": with_notes(self.message, self.notes)}
        before = self.prompt[:-1]
        if system and self.prompt[0]["role"] != "system":
            before = ({"role": "system", "content": system}, *before)
        return [*before, asked]

    @property
    def compared_with(self) -> Compared:
        """What its replies are compared with, beside message and notes."""
        if not self.facts:
            return Compared()
        return Compared(self.facts, self.internal, self.chosen)

    def labels(self) -> dict[str, Any]:
        """The columns beside the texts, for files and reports."""
        lists = {"notes": list(self.notes)}
        if self.facts:
            lists |= {"facts": list(self.facts), "internal": list(self.internal)}
        return {"id": self.id, "topic": self.topic, "split": self.split, **lists}


def with_notes(message: str, notes: Sequence[str]) -> str:
    """What a model reads: the message with the notes below it."""
    return "\n".join([message, "", "Notes:", *(f"- {note}" for note in notes)]) if notes else message


def read_rows(
    source: str | Path, split: str | None = None, shares: tuple[float, float, float] = SHARES
) -> list[Row]:
    """The rows of a file (JSON lines, CSV), all or those of one split.

    Where rows name no split, `shares` are the parts of train, dev and test.

    Raises:
        UserError: the file is missing, empty, or malformed; names the line and what is allowed there.
    """
    where = str(source)
    rows = [row_of(raw, f"{where}:{line}", line) for line, raw in raw_rows(source)]
    if not rows:
        raise UserError(
            f"{where} has no rows: it needs prompt and completion, or prompt, chosen and rejected"
        )
    if not any(row.split for row in rows):
        rows = _divided(rows, shares)
    for row in rows:
        if row.split not in SPLITS:
            allowed = f"use {', '.join(SPLITS)} in all rows or in none"
            raise UserError(f"{where}: row {row.id} has split {row.split!r}: {allowed}")
    return [row for row in rows if split in (None, row.split)]


def raw_rows(source: str | Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Line numbers and raw rows, with all columns."""
    path = Path(source)
    if not path.exists() or path.is_dir():
        raise UserError(f"there is no file {source}: name a .jsonl or .csv file")
    yield from _table(read_text(path), str(source)) if path.suffix == ".csv" else read_jsonl(path)


def _table(text: str, source: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Rows of CSV, each with the number of its first line, since replies have several."""
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))
    table = csv.DictReader(io.StringIO(text, newline=""))
    number = 2
    try:
        for row in table:
            yield number, row
            number = table.line_num + 1
    except csv.Error as error:
        raise UserError(f"{source}:{number} is not CSV ({reason(error)})") from None


def row_of(raw: Mapping[str, Any], where: str, number: int) -> Row:
    """A row from its raw columns; `where` is its place in errors, `number` its id where it has none.

    Raises:
        UserError: columns are missing or misspelt, or have wrong values.
    """
    for name in OPTIONAL:
        near = () if name in raw else difflib.get_close_matches(name, map(str, raw), 1, cutoff=0.85)
        if near:
            raise UserError(f"{where} has a column {near[0]}: did you mean {name}?")
    prompt = raw.get("prompt", raw.get("message"))
    chosen = raw.get("chosen", raw.get("completion"))
    if prompt in (None, "") or chosen is None:
        raise UserError(
            f"{where} has the columns {', '.join(map(str, raw)) or 'none'}: it needs prompt and completion, "
            "or prompt, chosen and rejected"
        )
    rejected, notes = raw.get("rejected"), texts(raw.get("notes"), where)
    row = Row(
        id=str(number if raw.get("id") in (None, "") else raw["id"]),
        prompt=_without(notes, _messages(prompt, where)),
        chosen=_reply(chosen, where),
        rejected=None if rejected in (None, "") else _reply(rejected, where),
        split=str(raw.get("split") or ""),
        topic=None if raw.get("topic") in (None, "") else str(raw["topic"]),
        notes=notes,
        facts=texts(raw.get("facts"), where),
        internal=texts(raw.get("internal"), where),
        breaks=None if raw.get("breaks") is None else texts(raw["breaks"], where),
    )
    try:
        "".join([*(each["content"] for each in row.prompt), row.chosen, row.rejected or ""]).encode()
    except UnicodeEncodeError:
        raise UserError(f"{where} has half a character (a lone surrogate): write the text again") from None
    return row


def _messages(prompt: Any, where: str) -> tuple[Message, ...]:
    prompt = _list_in(prompt, MESSAGES, where)
    if isinstance(prompt, str):
        return ({"role": "user", "content": prompt},)
    fits = isinstance(prompt, list) and all(
        isinstance(each, dict) and each.get("role") in ROLES and isinstance(each.get("content"), str)
        for each in prompt
    )
    if not fits or not prompt or prompt[-1]["role"] != "user":
        roles = ", ".join(ROLES)
        raise UserError(
            f"{where}: prompt must be a text or a list of messages (of {roles}) that ends with a user's"
        )
    return tuple({"role": each["role"], "content": each["content"]} for each in prompt)


def _without(notes: Sequence[str], prompt: tuple[Message, ...]) -> tuple[Message, ...]:
    """The prompt without its notes: `data build` writes them into the last message, and we add them later."""
    asked = prompt[-1]["content"].removesuffix(with_notes("", notes))
    return (*prompt[:-1], {"role": "user", "content": asked})


def _reply(reply: Any, where: str) -> str:
    if isinstance(reply, list) and len(reply) == 1 and isinstance(reply[0], dict):
        reply = reply[0].get("content")
    if not isinstance(reply, str):
        raise UserError(f"{where}: a reply must be a text or a list of one message")
    return reply


def texts(value: Any, where: str) -> tuple[str, ...]:
    """A list of texts, or one text with one a line, each after an optional dash."""
    value = _list_in(value, TEXTS, where)
    if isinstance(value, str):
        value = [line.strip().removeprefix("-").strip() for line in value.splitlines()]
    if not isinstance(value, list | None):
        raise UserError(f"{where}: notes, facts, internal and breaks must be lists of texts")
    return tuple(str(each) for each in value or () if each)


def _list_in(cell: Any, start: re.Pattern[str], where: str) -> Any:
    """The list that a CSV cell holds as JSON; any other value as it is."""
    if not isinstance(cell, str) or not start.match(cell):
        return cell
    try:
        return json.loads(cell)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where}: {cell[:40]!r} is not a JSON list ({reason(error)})") from None


def _divided(rows: Sequence[Row], shares: tuple[float, float, float]) -> list[Row]:
    """The rows with splits: a topic (or prompt) goes into one as a whole, the same each time."""

    def split(row: Row) -> str:
        key = (row.topic or row.message).encode()
        at = int(hashlib.sha256(key).hexdigest()[:8], 16) / 16**8
        return "train" if at < shares[0] else "dev" if at < shares[0] + shares[1] else "test"

    return [replace(row, split=split(row)) for row in rows]


def fingerprint(rows: Iterable[Row]) -> str:
    """A short hash of the rows' texts."""
    return digest(
        [row.prompt, row.chosen, row.rejected, *filter(None, [row.notes, row.facts])] for row in rows
    )
