"""Checks of a reply: its length, leaks of the model's instructions, its tone, and its facts.

    >>> wrong("Dear member,\\n\\nDon't worry. Please wait.\\n\\nKind regards,\\nNorthwind Care", guide)
    [('tone', "no_contractions: Don't")]

The facts are checked only if there are notes (tone/fidelity.py).
"""

import re
from collections.abc import Sequence

from step4_finetune.data.curate.finding import short
from step4_finetune.tone import fidelity, rules, text
from step4_finetune.tone.rules import Guide
from step4_finetune.tone.scores import problems
from step4_finetune.tone.shorthand import for_staff, is_shorthand, told

IN_A_ROW = 5  # words of the instructions; shorter runs occur by chance
QUOTED = re.compile(r"[\"“]([^\"”\n]{2,}(?:\n[^\"”]*)?)[\"”]")
REPLY_WORDS = 120  # of the body; the sample's are 70 at most


def wrong(reply: str, guide: Guide, notes: Sequence[str] = (), message: str = "") -> list[tuple[str, str]]:
    """The checks that a reply fails, and what they found; the worst first."""
    parts = guide.parts(reply)
    untrue = _untrue(reply, guide, notes, message) if notes else []
    off_tone = rules.reasons(reply, guide)
    found = {
        "length": too_short_or_long(parts, guide),
        "leak": leaked(parts, guide),
        "facts": short("; ".join(f"{kind} {each}" for kind, each in untrue)),
        "tone": short("; ".join(f"{rule}: {why}" for rule, why in off_tone.items())),
    }
    return [(check, seen) for check, seen in found.items() if seen]


def _untrue(reply: str, guide: Guide, notes: Sequence[str], message: str) -> list[tuple[str, str]]:
    """What a reply says that its notes do not, and what it leaves out.

    Notes in shorthand have other words than the reply, so that only numbers, days and names are compared, and
    whether a sentence tells a note that is for staff only.
    """
    if not is_shorthand(notes, guide):
        return fidelity.check(reply, notes, message, guide.own).findings()
    written_out = "\n".join(told(notes, guide))
    said = fidelity.facts(reply)
    own = fidelity.facts("\n".join([message, guide.own]))
    wanted = {each for each in fidelity.facts(written_out) if each[0].isdigit() or each in fidelity.DAYS}
    known = wanted | own | set(re.findall(r"[^\W\d_]+", written_out.lower()))
    added = sorted(each for each in said - known if not _has_part(each, known))
    missing = sorted(wanted - said - own)
    sentences = text.sentences(text.take_apart(reply).body)
    known_stems = fidelity.stems(written_out) | fidelity.stems(message)
    leaks = [note for note in for_staff(notes, guide) if fidelity.is_told(note, sentences, known_stems)]
    reasons = [("added", fact) for fact in added]
    reasons += [("missing", fact) for fact in missing]
    reasons += [("leaked", note) for note in leaks]
    return reasons


def _has_part(fact: str, known: set[str]) -> bool:
    """Whether the parts of a fact, such as 9 and 11 of 9-11, are known."""
    parts = re.findall(r"[a-z]+|[0-9.]+", fact)
    return len(parts) > 1 and set(parts) <= known


def too_short_or_long(parts: text.Parts, guide: Guide) -> str:
    """`empty`, `cut`, `looping` or the number of words; an empty text if the length is right."""
    if found := problems(parts, guide.sign_offs):
        return ", ".join(found)
    n = len(text.words(parts.body))
    return f"{n} words" if n > REPLY_WORDS else ""


def leaked(parts: text.Parts, guide: Guide) -> str:
    """Five consecutive words of the system message or the rules that the reply repeats, if any.

    Texts that the rules quote ("Dear member,") may be repeated.
    """
    instructions = guide.as_prompt()
    quoted = {run for each in QUOTED.findall(instructions) for run in _runs(each)}
    secret = {run for line in instructions.split("\n") for run in _runs(line)} - quoted
    found = next((run for run in _runs(parts.body) if run in secret), ())
    return short(" ".join(found))


def _runs(words: str) -> list[tuple[str, ...]]:
    found = [each.lower() for each in text.words(words)]
    return [tuple(found[at : at + IN_A_ROW]) for at in range(len(found) - IN_A_ROW + 1)]
