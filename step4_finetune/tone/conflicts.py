"""Whether any reply can keep all the rules of a guide: what contradicts itself is found before training.

    >>> of(guide)
    'no reply can keep both greeting and member: "Dear customer," holds "customer"'

It finds what can be seen without solving anything: a text that must stand there and that another rule
forbids, two texts that can't both come first, two ranges without a number in common. It does not find every
contradiction: whether two regular expressions exclude each other is not looked into.
"""

from __future__ import annotations

import itertools
import re

from step4_finetune.tone import text
from step4_finetune.tone.rules import MARKS, SIZES, Check, Guide

AROUND = re.compile(r"\(\?i\)|\\b|\^|\$")  # what a pattern may hold around a text without being more than it
SPECIAL = re.compile(r"[\\.*+?\[\](){}|]")
GROUP = re.compile(r"^\((?:\?:)?([^()]*)\)$")


def of(guide: Guide) -> str | None:
    """The first contradiction in one line; None where none can be seen."""
    checks = [(rule.id, check) for rule in guide.rules for check in rule.checks]
    for (name, one), (other_name, other) in itertools.permutations(checks, 2):
        for contradiction in (_forbidden, _apart, _elsewhere, _too_long):
            if why := contradiction(one, other):
                both = f"both {name} and {other_name}" if name != other_name else name
                return f"no reply can keep {both}: {why}"
    return None


def _forbidden(one: Check, other: Check) -> str | None:
    """A text that `one` wants, of which `other` allows fewer than it holds, in each of its variants."""
    wanted = _wanted(one)
    if not wanted or other.high is None or other.kind in SIZES or other.of == "sentences":
        return None
    if not _covers(other, one):
        return None
    reasons = []
    for variant in wanted:
        around = {"starts_with": f"{variant} …", "ends_with": f"… {variant}"}.get(one.kind, f"… {variant} …")
        found = other.found(text.Parts(around, "", around, "", (around,)))
        if len(found) <= other.high:
            return None
        reasons.append(f'"{" ".join(variant.split())}" holds "{found[-1]}"')
    return reasons[0]


def _wanted(check: Check) -> list[str]:
    """The texts of which a reply must have one; none where that can't be told from the pattern."""
    if check.kind in ("starts_with", "ends_with", "require_words"):
        return list(check.values)
    if check.low == 0 or check.kind not in ("require", "count"):
        return []
    for pattern in check.patterns:
        variants = [AROUND.sub("", each) for each in GROUP.sub(r"\1", AROUND.sub("", pattern)).split("|")]
        if not any(SPECIAL.search(each) for each in variants):
            return variants
    return []


def _covers(other: Check, one: Check) -> bool:
    """Whether `other` looks at the place where `one` wants something."""
    return other.where in ("reply", one.where) or (other.where == "body" and one.where != "reply")


def _apart(one: Check, other: Check) -> str | None:
    """Two counts of the same thing in the same place with no number in common."""
    same = one.kind == other.kind and one.kind in (*MARKS, *SIZES)
    same = same or bool(one.values and one.patterns == other.patterns and one.of == other.of)
    if not same or one.where != other.where or one.high is None or one.high >= other.low:
        return None
    return f"at most {one.high} against at least {other.low} of the same"


def _elsewhere(one: Check, other: Check) -> str | None:
    """Two texts that both must come first (or last), none of which holds the other."""
    if one.kind != other.kind or one.where != other.where or one.kind not in ("starts_with", "ends_with"):
        return None
    fits = str.startswith if one.kind == "starts_with" else str.endswith
    if any(fits(a, b) or fits(b, a) for a in one.values for b in other.values):
        return None
    side = "first" if one.kind == "starts_with" else "last"
    return f'"{one.values[0]}" and "{other.values[0]}" cannot both come {side}'


def _too_long(one: Check, other: Check) -> str | None:
    """Fewer words allowed than another check needs for its sentences or its text."""
    if one.kind != "words" or one.high is None or one.where not in ("reply", other.where):
        return None
    if other.kind == "sentences" and one.high < other.low:
        return f"{other.low} sentences have more than {one.high} words"
    if other.kind in ("starts_with", "ends_with"):
        least = min(len(text.words(each)) for each in other.values)
        if least > one.high:
            return f"{least} words where {one.high} are allowed"
    return None
