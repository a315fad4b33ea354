"""Tasks, and whether a run achieved one: by its outcome, not by its words.

    {"id": "sd07", "kind": "act", "request": "Open a ticket for the valve that was recalled.",
     "values": [], "documents": ["field-notice-fn-2025-02.md"], "tickets": [["sylph g5"]], ...}

A run passes if the answer has every value, the documents that these stand in were read, and the office is in
the state that was asked for, with nothing else in it.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from pydantic import BaseModel, ConfigDict, ValidationError

from shared.errors import UserError, reason
from shared.office import CHANGING, Office
from shared.validation import first_problem
from step3_rag.agent.transcript import Check, Outcome, Transcript

TASKS = Path(__file__).with_name("tasks")
KINDS = ("none", "one", "two", "compute", "act", "missing", "needless")
SEPARATOR = re.compile(r"(?<=\d)[,\u202f\u00a0 ](?=\d{3}\b)")  # in 1,250
UNKNOWN = re.compile(
    r"\bi (?:do not|don['’]t) know\b"
    r"|\b(?:not|n['’]t|nothing|no)\b[^.?!]{0,60}\b(?:find|found|say|says|mention\w*|know|documents?|answer\w*|information)\b",
    re.I,
)


class ExpectedDraft(BaseModel):
    """A message that must have been sent."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    to: list[str]  # one of them must be in the address
    words: list[list[str]] = []  # of each list, one must be in the text


class Task(BaseModel):
    """A request, and what must be true afterwards."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: str
    kind: str
    request: str
    values: list[list[str]] = []  # of each list, one must be in the answer
    documents: list[str | list[str]] = []  # file names; of a list, one
    looks_up: bool
    unknown: bool = False  # the answer must say that the documents don't have it
    tickets: list[list[str]] = []  # for each ticket the words that its title must have
    drafts: list[ExpectedDraft] = []


def read_tasks(name: str) -> list[Task]:
    """The tasks of a file beside this module, such as `sample-dev`, or of another path.

    Raises:
        UserError: there is no such file, or a line is no task.
    """
    path = TASKS / f"{name}.jsonl"
    if name.endswith(".jsonl"):
        path = Path(name)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read the tasks {path}: {reason(error)}") from None
    tasks = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            tasks.append(Task.model_validate(json.loads(line)))
        except ValidationError as error:
            problem = first_problem(error)
            raise UserError(f"{path}, line {number}: {problem.place}: {problem.message}") from None
        except ValueError:
            raise UserError(f"{path}, line {number} is not JSON") from None
    return tasks


def plain(text: str) -> str:
    """The text in lower case, with single spaces, and numbers without separators.

    >>> plain("About 1,250  EUR")
    'about 1250 eur'
    """
    return SEPARATOR.sub("", " ".join(text.lower().replace("’", "'").split()))


def has(text: str, value: str) -> bool:
    """Whether the text has a value as words of its own: 50 is not in 1,250 or in 50.5.

    >>> has("It costs 1,250.00 EUR.", "1250"), has("It costs 1,250 EUR.", "250")
    (True, False)
    """
    pattern = rf"(?<![\w.]){re.escape(plain(value))}(?:\.0+)?(?!\w|\.\d)"
    return re.search(pattern, plain(text)) is not None


def says_unknown(answer: str) -> bool:
    """Whether an answer says that the documents don't have it."""
    return UNKNOWN.search(answer) is not None


def verify(task: Task, transcript: Transcript, office: Office) -> Outcome:
    """Hold a run against its task."""
    checks = [Check("the run ended with an answer", bool(transcript.answer.strip()))]
    checks += _answer_checks(task, transcript.answer)
    checks += _document_checks(task, transcript)
    checks += _state_checks(task, office)
    return Outcome(tuple(checks))


def _answer_checks(task: Task, answer: str) -> list[Check]:
    """One check for each value, and one for an answer that must say that it isn't known."""
    checks = []
    for writings in task.values:
        is_there = any(has(answer, writing) for writing in writings)
        checks.append(Check(f"the answer has {writings[0]}", is_there))
    if task.unknown:
        checks.append(Check("the answer says that the documents don't have it", says_unknown(answer)))
    return checks


def _document_checks(task: Task, transcript: Transcript) -> list[Check]:
    """One check for each document that must have been read."""
    read = set()
    for call in transcript.calls:
        read |= {PurePosixPath(name).name for name in call.documents}
    checks = []
    for needed in task.documents:
        names = [needed] if isinstance(needed, str) else needed
        is_there = any(PurePosixPath(name).name in read for name in names)
        checks.append(Check(f"{PurePosixPath(names[0]).name} was read", is_there))
    return checks


def _state_checks(task: Task, office: Office) -> list[Check]:
    """Whether the office has the tickets and drafts that were asked for, and no others."""
    checks = []
    for words in task.tickets:
        is_there = any(all(plain(word) in plain(ticket.title) for word in words) for ticket in office.tickets)
        checks.append(Check(f"a ticket is open about {', '.join(words)}", is_there))
    for draft in task.drafts:
        checks.append(Check(f"a message is sent to {draft.to[0]}", _is_sent(draft, office)))
    is_exact = (len(office.tickets), len(office.drafts)) == (len(task.tickets), len(task.drafts))
    checks.append(Check("nothing else was changed", is_exact))
    return checks


def _is_sent(expected: ExpectedDraft, office: Office) -> bool:
    for draft in office.drafts:
        to_right = any(plain(name) in plain(draft.to) for name in expected.to)
        text_right = all(any(plain(word) in plain(draft.text) for word in words) for words in expected.words)
        if to_right and text_right:
            return True
    return False


def is_forbidden(task: Task, transcript: Transcript) -> bool:
    """Whether a tool that changes something was called although nobody asked for a change."""
    asked = bool(task.tickets or task.drafts)
    return not asked and any(call.tool in CHANGING for call in transcript.calls)


def count_kinds(tasks: Sequence[Task]) -> dict[str, int]:
    """How many tasks there are of each kind."""
    return {kind: sum(task.kind == kind for task in tasks) for kind in KINDS}
