"""What a reply says, whatever its tone: does it do what was asked, keep subject and facts, and is it whole?

    >>> fits("Your drill is broken. We have reviewed the charge.", intents["repair"])
    False
    >>> keeps("We will collect the drills on 3 May.", ["drill"], ["3 May"])
    (True, True)

`fits` holds the acts of the reply (acts.py) against the patterns of an intent, which are data (intents.yaml).
What nobody labelled stays unknown: without an intent `fits` is None. Patterns know neither whether an
explanation is true nor whether a promise can be kept; a judge model (judge.py) may.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.errors import UserError, reason
from step4_finetune import acts, text

if TYPE_CHECKING:
    from step4_finetune.data import Row
    from step4_finetune.guide import Guide

LOOP = 4  # words that come again and again
OFTEN = 3
PARTS = re.compile(r"[,;:]| and (?:then )?")
EVERYTHING = 4  # intents: a reply that does so many things does them for the evaluator


@dataclass(frozen=True)
class Intent:
    """What a member wants (`wants`), what a fitting reply does (`reply`), both in words, and as patterns."""

    name: str
    wants: str = ""
    reply: str = ""
    does: tuple[str, ...] = ()  # one of them is found in an act
    but_not: tuple[str, ...] = ()  # an act with one of them in the same part is another
    says: tuple[str, ...] = ()  # all of them are found anywhere in the body
    informs: bool = False  # a plain statement of something new does it too, where no other act is done


@dataclass(frozen=True)
class Score:
    """One reply, measured; None is unknown: nobody said what to look for."""

    rules: dict[str, bool]
    fits: bool | None = None
    subject: bool | None = None
    facts: bool | None = None
    problems: tuple[str, ...] = field(default=())

    @property
    def adherence(self) -> float:
        """Share of the guide's rules that are kept."""
        return sum(self.rules.values()) / len(self.rules)

    @property
    def all_rules(self) -> bool:
        return all(self.rules.values())

    @property
    def healthy(self) -> bool:
        """Neither empty nor cut off nor looping."""
        return not self.problems

    @property
    def content(self) -> bool | None:
        """Fits, with the right subject and facts, and whole; None where the fit is unknown."""
        if not self.healthy or False in (self.fits, self.subject, self.facts):
            return False
        return None if self.fits is None else True

    @property
    def both(self) -> bool | None:
        """Every rule is kept, and what was asked is done."""
        return self.fits if self.all_rules else False

    @property
    def whole(self) -> bool | None:
        """Every rule, and all of the content."""
        return self.content if self.all_rules else False

    def as_json(self) -> dict[str, Any]:
        """For reports."""
        names = ("adherence", "all_rules", "fits", "subject", "facts", "problems", "content", "both", "whole")
        return {"rules": self.rules, **{name: getattr(self, name) for name in names}}


def score(
    reply: str,
    guide: Guide,
    intent: Intent | None = None,
    *,
    message: str = "",
    subject: Sequence[str] = (),
    facts: Sequence[str] = (),
    others: Mapping[str, Intent] | None = None,
) -> Score:
    """Everything about one reply. `others`: all intents, among which to find what else a reply does."""
    parts = guide.parts(reply)
    kept = {rule.id: rule.allows(parts) for rule in guide.rules}
    fit = fits(parts.body, intent, message, others) if intent else None
    return Score(kept, fit, *keeps(parts.body, subject, facts), problems(parts, guide.sign_offs))


# --- does it do what was asked? ---------------------------------------------------------------------------


def score_row(reply: str, row: Row, guide: Guide, intents: Mapping[str, Intent]) -> Score:
    """Everything about a reply to a row's message, by what the row says of it."""
    return score(
        reply,
        guide,
        intents.get(row.intent or ""),
        message=row.message,
        subject=row.subject,
        facts=row.facts,
        others=intents,
    )


def fits(
    reply: str, intent: Intent, message: str = "", others: Mapping[str, Intent] | None = None
) -> bool | None:
    """Whether a reply does what a message of that intent asks for; None for an intent without patterns.

    `message`: what a reply only says back is not counted, and a plain statement that is the answer must say
    something new. `others` (all intents): such a reply does nothing else, and none does everything.
    """
    if not intent.does:
        return None
    body = acts.without_echo(text.take_apart(reply).body, message)
    said = " ".join(acts.plain(body))
    if not all(_words(each).search(said) for each in intent.says):
        return False
    ours = acts.acts(body, things=False)
    also = [other for other in (others or {}).values() if other != intent and does(ours, other)]
    if does(acts.acts(body), intent):
        return len(also) + 1 < EVERYTHING
    if not intent.informs or also:
        return False
    known = set(_stems(message))
    return any(len(set(_stems(each)) - known) >= OFTEN for each in acts.statements(body))


def does(done: Sequence[str], intent: Intent) -> bool:
    """Whether one of the acts is the intent's: it has one of its patterns, and none of `not` in that part."""
    for act in done:
        for pattern in intent.does:
            if act.startswith("not ") != pattern.startswith("not "):
                continue
            for found in _words(pattern).finditer(act):
                before, after = PARTS.split(act[: found.start()])[-1], PARTS.split(act[found.end() :])[0]
                part = before + found[0] + after
                if not any(_words(each).search(part) for each in intent.but_not):
                    return True
    return False


@cache
def _words(pattern: str) -> re.Pattern[str]:
    """A pattern of whole words."""
    return re.compile(rf"\b(?:{pattern})\b")


def _stems(sentence: str) -> list[str]:
    """Words of more than three letters without their endings: roughly what carries the content."""
    return [re.sub(r"(?:ing|ed|es|s)$", "", word.lower()) for word in text.words(sentence) if len(word) > 3]


# --- subject, facts, health -------------------------------------------------------------------------------


def keeps(reply: str, subject: Sequence[str], facts: Sequence[str]) -> tuple[bool | None, bool | None]:
    """Whether a reply names the subject (any of its words, or their plural) and every fact, literally."""
    named = any(_holds(reply, each, plural=True) for each in subject) if subject else None
    return named, all(_holds(reply, each) for each in facts) if facts else None


def _holds(reply: str, phrase: str, plural: bool = False) -> bool:
    """Whole words and numbers: `4.90` isn't in `14.90`, nor `12` in `12.5`."""
    spaced = r"\s+".join(re.escape(each) for each in phrase.split())
    if plural:
        spaced = rf"{spaced}(?:e?s)?" if not phrase.endswith("y") else rf"(?:{spaced}s?|{spaced[:-1]}ies)"
    return re.search(rf"(?<!\w)(?<!\d[.,]){spaced}(?!\w)(?![.,]\d)", reply, re.IGNORECASE) is not None


def problems(parts: text.Parts, sign_offs: Sequence[str] = ()) -> tuple[str, ...]:
    """What is broken about a reply as a text: `empty`, `cut`, `looping`."""
    found = []
    if parts.is_empty:
        found.append("empty")
    elif _is_cut(parts, sign_offs):
        found.append("cut")
    if is_looping(parts.reply):
        found.append("looping")
    return tuple(found)


def _is_cut(parts: text.Parts, sign_offs: Sequence[str]) -> bool:
    """Whether a reply stops in a sentence or in its sign-off."""
    if parts.sign_off:
        return any(each != parts.sign_off and each.startswith(parts.sign_off) for each in sign_offs)
    return not re.search(r"[.!?…:)\"”'’]$", parts.body) and not text.emoji(parts.body[-2:])


def is_looping(reply: str) -> bool:
    """Whether a whole sentence comes twice, or the same few words three times."""
    said = [each.lower() for each in text.sentences(reply) if len(text.words(each)) >= LOOP]
    if len(said) != len(set(said)):
        return True
    words = [each.lower() for each in text.words(reply)]
    grams = [tuple(words[i : i + LOOP]) for i in range(len(words) - LOOP + 1)]
    return any(grams.count(each) >= OFTEN for each in set(grams))


# --- the file ---------------------------------------------------------------------------------------------


def read_intents(path: Path) -> dict[str, Intent]:
    """The intents of a YAML file, by name.

    Raises:
        UserError: it can't be read, or an intent of it is wrong.
    """
    from step4_finetune.guide import read_yaml

    data = read_yaml(path)
    if not isinstance(data, dict) or not data:
        raise UserError(f"{path}: intents are names, each with wants, reply and does")
    return {str(name): _intent(str(name), row, f"{path}: intent {name}") for name, row in data.items()}


def beside(guide: Path) -> dict[str, Intent]:
    """The intents of the file beside a guide; none where there is no such file.

    Raises:
        UserError: as `read_intents`.
    """
    path = guide.with_name("intents.yaml")
    return read_intents(path) if path.exists() else {}


def _intent(name: str, row: Any, at: str) -> Intent:
    allowed = ("wants", "reply", "does", "not", "says", "informs")
    if not isinstance(row, dict) or set(row) - set(allowed):
        raise UserError(f"{at}: use {', '.join(allowed)}")
    for key in ("wants", "reply"):
        if not isinstance(row.get(key), str):
            raise UserError(f"{at}: {key} is missing: say it in words")
    patterns = {}
    for key in ("does", "not", "says"):
        if not isinstance(listed := row.get(key) or [], list):
            raise UserError(f"{at}: {key} must be a list of regular expressions")
        patterns[key] = tuple(listed)
        for each in patterns[key]:
            try:
                re.compile(each)
            except (re.error, TypeError) as error:
                raise UserError(f"{at}: {key}: {each!r} is no regular expression: {reason(error)}") from None
    informs = row.get("informs", False) is True
    return Intent(
        name, row["wants"], row["reply"], patterns["does"], patterns["not"], patterns["says"], informs
    )
