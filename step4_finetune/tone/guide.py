r"""A tone guide: a company's tone as rules that a program can check. Rules are data.

    company: Northwind Care
    system: You answer members of Northwind Care.
    rules:
      - id: greeting
        say: Start with "Dear member,".
        starts_with: "Dear member,"
      - id: no_slang
        say: Use no slang, such as "hey" or "awesome".
        forbid_words: [hey, awesome, no worries]

    >>> guide = read_guide(Path("step4_finetune/sample/guide.yaml"))
    >>> print(guide.as_prompt())
    You answer members of Northwind Care. Follow every one of these rules:
    - Start with "Dear member,".
    ...

A rule counts something in a reply and says how often it may occur. It has an `id`, `say` (the rule in plain
words, for people and for prompts) and one or more of these checks:

    starts_with, ends_with: TEXT or [TEXT, ...]     one of them, word for word; {name} in a greeting is a name
    forbid, require: REGEX or [REGEX, ...]          none of them found; each of them found
    forbid_words, require_words: [WORD, ...]        none, or at least one; words or phrases, any case
    count: {pattern: REGEX, of: sentences|text, min: 1, max: 1}
    sentences, words, paragraphs: {min: 2, max: 4}
    contractions, emoji, capitals: forbid, require or {min: 1, max: 2}

A WORD matches exactly: `guest` is not `guests`, so list plurals and other forms, or write `apolog*` for all
words with that beginning. In a REGEX (?i) ignores case, ^ and $ match at every line, \A and \Z at the
beginning and the end of the place that is searched: `require: '\?\Z'` means that it ends with a "?".

`in` is the place that all checks of the rule search: reply (all of it), body (without greeting and sign-off),
first or last (sentence of the body). By default count, sentences, words and paragraphs search the body, the
other checks the reply. `except: [TEXT, ...]` is removed from the place first.

Beside the rules may stand, where staff write their notes in shorthand:

    brief: TEXT                 what to do with the notes, for models that are not trained on it
    shorthand: {SHORT: WORDS}   abbreviations, and what they stand for
    staff_only: [WORD, ...]     how a note, or the rest of one, begins that no member may read

`fallback` beside the rules may hold the guard's ready-made reply, in case the built-in one breaks them.
"""

import difflib
import re
from itertools import chain
from pathlib import Path
from typing import Any

import yaml

from shared.errors import UserError, reason
from step4_finetune.tone import text
from step4_finetune.tone.rules import MARKS, SIZES, Check, Guide, Rule

TEXTS, REGEXES, WORDS = ("starts_with", "ends_with"), ("forbid", "require"), ("forbid_words", "require_words")
KINDS = (*TEXTS, *REGEXES, *WORDS, "count", *SIZES, *MARKS)
PLACES = ("reply", "body", "first", "last")
KEYS = ("company", "system", "rules", "fallback", "brief", "staff_only", "shorthand")
MORE = ("id", "say", "in", "except")


def read_guide(path: Path) -> Guide:
    """A guide from its YAML file.

    Raises:
        UserError: it can't be read, or something in it is wrong.
    """
    return guide_of(read_yaml(path), str(path))


def read_yaml(path: Path) -> Any:
    """The content of a YAML file.

    Raises:
        UserError: it can't be read, or is not YAML.
    """
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path}: {reason(error)}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(
            f"{path} is not YAML: {reason(error)}; a text with a colon or a # in it needs quotes"
        ) from None


def guide_of(data: Any, source: str) -> Guide:
    """A guide from the content of its file.

    Raises:
        UserError: something in it is wrong; names the source, the rule and what is allowed.
    """
    if not isinstance(data, dict):
        raise UserError(f"{source}: a guide has company, system and rules")
    _known(data, KEYS, source)
    company = _text(data.get("company"), f"{source}: company", "the company's name")
    system = data.get("system", f"You answer messages to {company}.")
    system = _text(system, f"{source}: system", "a short system message")
    if not isinstance(rows := data.get("rules"), list) or not rows:
        raise UserError(f"{source} has no rules: list under rules what replies must keep")
    rules = [_rule(row, f"{source}: rule {number}", source) for number, row in enumerate(rows, 1)]
    ids = [rule.id for rule in rules]
    if twice := [each for each in ids if ids.count(each) > 1]:
        raise UserError(f"{source}: two rules have the id {twice[0]}: give one of them another")
    checks = [check for rule in rules for check in rule.checks if check.where == "reply"]
    greetings, sign_offs = (
        [sorted(check.values, key=len, reverse=True) for check in checks if check.kind == kind]
        for kind in TEXTS
    )
    fallback = _text(data["fallback"], f"{source}: fallback", "a reply") if "fallback" in data else ""
    brief = _text(data["brief"], f"{source}: brief", "a text") if "brief" in data else ""
    only = (
        _texts(data["staff_only"], f"{source}: staff_only", "a list of words") if "staff_only" in data else []
    )
    shorthand = _shorthand(data.get("shorthand", {}), f"{source}: shorthand")
    openings, closings = (*chain(*greetings),), (*chain(*sign_offs),)
    return Guide(company, system, tuple(rules), openings, closings, fallback, brief, tuple(only), shorthand)


def _shorthand(data: Any, at: str) -> tuple[tuple[str, str], ...]:
    if not isinstance(data, dict):
        raise UserError(f"{at} = {data!r} is not allowed: use {{short: words}}")
    return tuple((str(short), _text(words, f"{at}: {short}", "words")) for short, words in data.items())


def _rule(row: Any, at: str, source: str) -> Rule:
    if not isinstance(row, dict):
        raise UserError(f"{at} is not a rule: use id, say and one of {', '.join(KINDS)}")
    rule_id = _text(row.get("id"), f"{at}: id", "a short name")
    at = f"{source}: rule {rule_id}"
    _known(row, (*MORE, *KINDS), at)
    kinds = [key for key in row if key in KINDS]
    if not kinds:
        raise UserError(f"{at} checks nothing: use one or more of {', '.join(KINDS)}")
    say = " ".join(_text(row.get("say"), f"{at}: say", "the rule in plain words").split())
    if (where := row.get("in")) not in (None, *PLACES):
        raise UserError(f"{at}: in = {where!r} is not allowed: use {', '.join(PLACES)}")
    exceptions = tuple(_texts(row["except"], f"{at}: except", "a list of texts")) if "except" in row else ()
    checks = []
    for kind in kinds:
        values, low, high, of = _limits(kind, row[kind], f"{at}: {kind}")
        place = where or ("body" if kind in SIZES or kind == "count" else "reply")
        checks.append(Check(kind, values, low, high, place, exceptions, of))
    return Rule(rule_id, say, tuple(checks))


def _limits(kind: str, value: Any, at: str) -> tuple[tuple[str, ...], int, int | None, str]:
    """A check's values (texts, words, patterns), its limits, and what its pattern is matched with."""
    if kind in (*TEXTS, *REGEXES, *WORDS):
        values = _texts(value, at, "a text or a list of texts")
        if kind in TEXTS:
            values = [text.tidy(each) for each in values]
        elif kind in REGEXES:
            values = [_pattern(each, at) for each in values]
        low, high = (0, 0) if kind.startswith("forbid") else (1, None)
        return tuple(values), low, high, "text"
    if kind in MARKS and value in ("forbid", "require"):
        value = {"max": 0} if value == "forbid" else {"min": 1}
    if not isinstance(value, dict):
        or_word = "forbid, require or " if kind in MARKS else ""
        pattern = "pattern: REGEX, " if kind == "count" else ""
        raise UserError(f"{at} = {value!r} is not allowed: use {or_word}{{{pattern}min: 1, max: 2}}")
    if kind != "count":
        _known(value, ("min", "max"), at)
        return (), *_range(value, at), "text"
    _known(value, ("pattern", "of", "min", "max"), at)
    pattern = _pattern(_text(value.get("pattern"), f"{at}: pattern", "a regular expression"), at)
    if (of := value.get("of", "text")) not in ("sentences", "text"):
        raise UserError(f"{at}: of = {of!r} is not allowed: use sentences or text")
    return (pattern,), *_range(value, at), of


def _range(value: dict[str, Any], at: str) -> tuple[int, int | None]:
    low, high = value.get("min"), value.get("max")
    for name, number in (("min", low), ("max", high)):
        if number is not None and (type(number) is not int or number < 0):
            raise UserError(f"{at}: {name} = {number!r} is not allowed: use a whole number from 0")
    if high is not None and (low or 0) > high:
        raise UserError(f"{at}: min {low} is more than max {high}: no reply can keep it")
    if not low and high is None:
        raise UserError(f"{at} allows everything: give it a min, a max or both")
    return low or 0, high


def _pattern(pattern: str, at: str) -> str:
    try:
        empty = re.compile(pattern, re.MULTILINE).search("")
    except (re.error, OverflowError, RecursionError) as error:
        raise UserError(f"{at}: {pattern!r} is not a regular expression: {reason(error)}") from None
    if empty:
        raise UserError(f"{at}: {pattern!r} matches even the empty text: it must match something")
    return pattern


def _known(data: dict[Any, Any], allowed: tuple[str, ...], at: str) -> None:
    for key in data:
        if key not in allowed:
            near = difflib.get_close_matches(str(key), allowed, 1)
            hint = f"did you mean {near[0]}?" if near else f"use {', '.join(allowed)}"
            raise UserError(f"{at} has the unknown key {key!r}: {hint}")


def _text(value: Any, at: str, what: str) -> str:
    if not isinstance(value, str) or not value.strip():
        given = "is missing" if value is None else f"= {value!r} is not allowed"
        quotes = " (in quotes: YAML reads it as something else)" if type(value) in (bool, int, float) else ""
        raise UserError(f"{at} {given}: use {what}{quotes}")
    return value.strip()


def _texts(value: Any, at: str, what: str) -> list[str]:
    values = value if isinstance(value, list) else [value]
    if not values:
        raise UserError(f"{at} is empty: use {what}")
    return [_text(each, at, what) for each in values]
