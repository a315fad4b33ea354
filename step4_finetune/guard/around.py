"""The guard around a model: checks before and after it, and a ready-made reply.

    >>> got = guarded(generate, "My mail is j.marsh@example.com. Where is my parcel?", guide)
    >>> got.reply, got.findings
    ('Dear member, ...', (Finding('pii', 'input', 'e-mail address: j.m…', 'redact'),))

`generate` is any function from chat messages to a reply: a local model, a client of a server, a chain with
retrieval. It never sees a blocked message, nor personal data in any other. The ready-made reply keeps the
guide, too; where ours would break its rules, the guide has its own under `fallback`.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from shared.errors import UserError
from shared.personal import Personal, redact
from shared.words import count
from step4_finetune.data.rows import Message, with_notes
from step4_finetune.guard import injection
from step4_finetune.guard.reply import wrong
from step4_finetune.tone import rules, text
from step4_finetune.tone.rules import Guide

MESSAGE_WORDS = 300
LONG_WORD = 10  # characters; a longer average is no prose
ATTEMPTS = 3  # replies of the model before the fallback goes out
INPUT, OUTPUT = "input", "output"
Generate = Callable[[list[Message]], str]
FALLBACK = (
    "We have received your message, and a colleague will read and answer it. "
    "Please keep this reply until then."
)


@dataclass(frozen=True)
class Finding:
    """An objection of a check. Personal data is masked in it, since findings are logged.

    check    length, injection, pii; of replies: length, leak, facts, tone, pii
    side     input (the member's message) or output (the model's reply)
    seen     what the check found
    action   block (the model is not asked), redact, regenerate, fallback (the reply was not sent)
    attempt  which reply it was seen in, from 1; 0 for the message
    """

    check: str
    side: str
    seen: str
    action: str
    attempt: int = 0


@dataclass(frozen=True)
class Guarded:
    """The reply that may go out, with what the model is asked and the findings on the way."""

    asked: str | None  # None for a blocked message
    reply: str | None  # None without a model
    findings: tuple[Finding, ...]
    attempts: int  # replies that the model wrote; 0 for a blocked message
    fallback: bool  # whether the reply is a ready-made one


def run(generate: Generate | None, message: str, guide: Guide, notes: Sequence[str] = ()) -> dict[str, Any]:
    """The facts of the command `guard` on a message; see `guarded`."""
    found = guarded(generate, message, guide, notes)
    headline = f"{count(len(found.findings), 'finding')}, {count(found.attempts, 'attempt')}"
    return {"command": "step4_finetune guard", "headline": headline, **asdict(found)}


def guarded(generate: Generate | None, message: str, guide: Guide, notes: Sequence[str] = ()) -> Guarded:
    """Answer a message with a model, between checks; the reply must say the `notes`, and nothing else.

    Without a model only the message is checked.

    Raises:
        UserError: the fallback breaks the guide (checked before the model is asked), or Presidio is needed
            and not installed. Errors of `generate` pass through.
    """
    cleaned, findings = check_input(message, allowed=guide.as_prompt())
    asked, blocked = with_notes(cleaned, notes), any(each.action == "block" for each in findings)
    if generate is None and not blocked:
        return Guarded(asked, None, tuple(findings), 0, False)
    ready_made = fallback(guide)
    if generate is None or blocked:
        return Guarded(None, ready_made, tuple(findings), 0, True)
    earlier: set[str] = set()
    reminder: tuple[str, ...] = ()
    for attempt in range(1, ATTEMPTS + 1):
        reply = generate(_prompt(guide, asked, reminder))
        reply, found = redact(reply, allowed="\n".join([guide.as_prompt(), *notes]))
        findings += [_masked(OUTPUT, each, attempt) for each in found]
        objections = wrong(reply, guide, notes, cleaned)
        if not objections:
            return Guarded(asked, reply, tuple(findings), attempt, False)
        last = attempt == ATTEMPTS or reply in earlier  # a model that repeats itself would do so again
        action = "fallback" if last else "regenerate"
        findings += [Finding(check, OUTPUT, seen, action, attempt) for check, seen in objections]
        if last:
            break
        earlier.add(reply)
        reminder = rules.broken(reply, guide)
    return Guarded(asked, ready_made, tuple(findings), attempt, True)


def fallback(guide: Guide) -> str:
    """The ready-made reply: the guide's own, or else ours in its greeting and sign-off.

    Raises:
        UserError: it breaks the guide.
    """
    reply = guide.fallback or "\n\n".join([*guide.fixed_greetings[:1], FALLBACK, *guide.sign_offs[:1]])
    if broken := rules.broken(reply, guide):
        raise UserError(
            f"the ready-made reply breaks {guide.company}'s rules {', '.join(broken)}: "
            "write your own in the guide, under fallback"
        )
    return reply


def check_input(message: str, allowed: str = "") -> tuple[str, list[Finding]]:
    """The message as the model may see it, and the findings; personal data in `allowed`, such as the
    company's own, stays.
    """
    n = len(text.words(message))
    if not (0 < n <= MESSAGE_WORDS and len(message) <= LONG_WORD * MESSAGE_WORDS):
        seen = f"{n} words, {len(message)} characters"
        return "", [Finding("length", INPUT, seen, "block")]  # too long even for the patterns
    message, found = redact(message, allowed)
    findings = [_masked(INPUT, each, 0) for each in found]
    if order := injection.find(message):
        findings.append(Finding("injection", INPUT, order, "block"))
    return message, findings


def _prompt(guide: Guide, message: str, reminder: Collection[str]) -> list[Message]:
    """The prompt; after a reply that broke rules, the system message repeats these rules."""
    broken = [rule.say for rule in guide.rules if rule.id in reminder]
    return [
        {"role": "system", "content": " ".join([guide.system, *broken])},
        {"role": "user", "content": message},
    ]


def _masked(side: str, found: Personal, attempt: int) -> Finding:
    return Finding("pii", side, f"{found.kind}: {found.masked}", "redact", attempt)
