r"""Whether a reply keeps the rules of a tone guide, by counting.

    >>> broken("Dear member,\n\nDon't worry! It came. Please wait.\n\nKind regards,\nNorthwind Care", guide)
    ('no_contractions', 'no_exclamation')

A rule that only forbids is broken by an empty reply: otherwise silence would keep most of a guide.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from step4_finetune.tone import text

MARKS: dict[str, Callable[[str], list[str]]] = {
    "contractions": text.contractions,
    "emoji": text.emoji,
    "capitals": text.capitals,
}
SIZES: dict[str, Callable[[str], list[str]]] = {
    "sentences": text.sentences,
    "words": text.words,
    "paragraphs": lambda part: [each for each in re.split(r"\n\s*\n", part) if each.strip()],
}


@dataclass(frozen=True)
class Check:
    """What is counted, where, and how often it may occur; `values` are the texts, words or patterns."""

    kind: str
    values: tuple[str, ...] = ()
    low: int = 0
    high: int | None = None
    where: str = "reply"
    exceptions: tuple[str, ...] = ()
    of: str = "text"  # what the pattern of `count` is matched with: the text, or each sentence

    def allows(self, parts: text.Parts) -> bool:
        """Whether a reply passes it.

        - A check that only forbids (its `low` is 0) is not passed by a reply that says nothing (`is_empty`).
        - `require` wants each of its `patterns` in its place (`_place`), under re.MULTILINE; how often, and
          what its `low` and `high` are, does not matter.
        - Of any other kind, `found` says what it counts: no fewer than `low` and, unless `high` is None, no
          more than `high`.
        """
        ### BEGIN SOLUTION 4.2: tone rules
        if self.low == 0 and parts.is_empty:
            return False
        if self.kind == "require":  # each of its patterns
            place = self._place(parts)
            return all(re.search(each, place, re.MULTILINE) for each in self.patterns)
        found = self.found(parts)
        return self.low <= len(found) and (self.high is None or len(found) <= self.high)
        ### END SOLUTION

    def found(self, parts: text.Parts) -> list[str]:
        """What it counts, as the reply has it."""
        place = self._place(parts)
        if count := (MARKS | SIZES).get(self.kind):
            return count(place)
        if self.kind in ("starts_with", "ends_with"):
            fits = text.begins if self.kind == "starts_with" else text.ends
            return [each for each in self.values if fits(place, each)][:1]
        if self.of == "sentences":
            return [each for each in text.sentences(place) if re.search(self.patterns[0], each, re.MULTILINE)]
        return [found[0] for each in self.patterns for found in re.finditer(each, place, re.MULTILINE)]

    @cached_property
    def patterns(self) -> tuple[str, ...]:
        """Its values as regular expressions."""
        if self.kind in ("forbid_words", "require_words"):
            return ("|".join(word_pattern(each) for each in self.values),)
        return self.values

    def why(self, parts: text.Parts) -> str:
        """Why a reply does not pass, for people."""
        if self.low == 0 and parts.is_empty:
            return "there is no reply"
        found = self.found(parts)
        if self.kind in SIZES:
            return f"{len(found)} {self.kind}"
        if self.high is not None and len(found) > self.high:
            return ", ".join(found)
        if found:
            return f"{len(found)} instead of {self.low}"
        return f"no {self.kind}" if self.kind in MARKS else f'no "{" ".join(self.values[0].split())}"'

    def _place(self, parts: text.Parts) -> str:
        """The part of the reply that it searches, without its exceptions."""
        if self.where in ("first", "last"):
            place = (parts.sentences or ("",))[0 if self.where == "first" else -1]
        else:
            place = parts.reply if self.where == "reply" else parts.body
        for phrase in self.exceptions:
            place = re.sub(word_pattern(phrase), " ", place)
        return place


@dataclass(frozen=True)
class Rule:
    """A rule of the guide: kept when all of its checks pass. `say` is the rule in plain words."""

    id: str
    say: str
    checks: tuple[Check, ...]

    @property
    def only_forbids(self) -> bool:
        """Whether an empty reply would keep it if `Check.allows` let it."""
        return all(check.low == 0 for check in self.checks)

    def allows(self, parts: text.Parts) -> bool:
        """Whether a reply keeps it."""
        return all(check.allows(parts) for check in self.checks)


@dataclass(frozen=True)
class Guide:
    """The rules of a company's tone, and the system message under which it is trained."""

    company: str
    system: str
    rules: tuple[Rule, ...]
    greetings: tuple[str, ...] = ()
    sign_offs: tuple[str, ...] = ()
    fallback: str = ""  # the guard's ready-made reply; empty for its own
    brief: str = ""  # what to do with notes, for models that are not trained on it
    staff_only: tuple[str, ...] = ()  # how a note begins that no member may read
    shorthand: tuple[tuple[str, str], ...] = ()  # abbreviations in notes, and what they stand for

    @property
    def fixed_greetings(self) -> tuple[str, ...]:
        """The greetings without a {name}, which only the company uses."""
        return tuple(each for each in self.greetings if "{name}" not in each)

    @property
    def own(self) -> str:
        """The text that every reply may have: the company's name, greetings and sign-offs."""
        return "\n".join([self.company, *self.greetings, *self.sign_offs])

    def parts(self, reply: str) -> text.Parts:
        """The parts of a reply, by this guide's greetings and sign-offs."""
        tidy = text.tidy(reply)
        return text.take_apart(tidy, [text.named(tidy, each) for each in self.greetings], self.sign_offs)

    def as_prompt(self, with_shorthand: bool = True) -> str:
        """The guide in words, for the system message of a model that was not trained on it.

        The table of abbreviations is long; a strong model knows them without it.
        """
        lines = "\n".join(f"- {rule.say}" for rule in self.rules)
        opening = " ".join(part for part in (self.system, self.brief) if part)
        prompt = f"{opening} Follow every one of these rules:\n{lines}"
        if not (self.shorthand and with_shorthand):
            return prompt
        return f"{prompt}\nShorthand: {', '.join(f'{short} = {words}' for short, words in self.shorthand)}"


def word_pattern(phrase: str) -> str:
    r"""The regular expression of a whole word or phrase: any case, any white space between its words.

    All that the phrase holds is meant literally, but for a star at the end of a word of two characters or
    more: `apolog*` is every word that begins so, and matches the whole of it.

    A match is not part of something longer: before it stands neither a \w nor an @, nor a \w with a full stop
    or hyphen behind it; after it neither a \w nor an @, nor a full stop or hyphen with a \w behind it. So
    the i of `i.e.`, the hi of `hi-fi` and a part of an address are no whole words, but the last word of a
    sentence is. It needs no flags, and may be joined with others by |.
    """
    ### BEGIN SOLUTION 4.2: tone rules
    spaced = r"\s+".join(
        re.escape(each[:-1]) + r"\w*" if each[1:].endswith("*") else re.escape(each)
        for each in phrase.split()
    )
    return rf"(?i:(?<![\w@])(?<!\w[.-]){spaced}(?![\w@])(?![.-]\w))"
    ### END SOLUTION


def reasons(reply: str, guide: Guide) -> dict[str, str]:
    """Why a reply breaks rules, by rule id, for people: what it has and should not, or what is missing."""
    parts = guide.parts(reply)
    return {
        rule.id: "; ".join(check.why(parts) for check in rule.checks if not check.allows(parts))
        for rule in guide.rules
        if not rule.allows(parts)
    }


def broken(reply: str, guide: Guide) -> tuple[str, ...]:
    """The ids of the rules that a reply breaks, in the guide's order."""
    return tuple(reasons(reply, guide))
