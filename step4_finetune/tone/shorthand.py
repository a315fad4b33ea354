"""Notes in shorthand, taken apart by a guide's table: what a member may know, in words.

    >>> told(["mbr Ms Hill", "cov ok / tech tue am / int: 2nd complaint"], guide)
    ['member Ms Hill', 'covered approved', 'technician Tuesday in the morning']

A table, no understanding: "pm" after a day is the afternoon, after a price it is a month.
"""

import re
from collections.abc import Sequence

from step4_finetune.tone import fidelity
from step4_finetune.tone.rules import Guide

SEPARATOR = re.compile(r"\s*(?:;|//|,)\s+|\s+/{1,2}\s+")
WORD = re.compile(r"[\w/]+")
DATE = re.compile(r"(?<![\d/])(\d{1,2})/(1[0-2]|[1-9])(?![\d/])")  # 14/5
KEYED = re.compile(r"[^:/;]+: ")  # decision: refund approved
MONTHS = [month.capitalize() for month in fidelity.MONTHS.split()]


def told(notes: Sequence[str], guide: Guide) -> list[str]:
    """The notes for the member, one fact each, with their abbreviations written out."""
    pieces = [piece for note in notes for piece in SEPARATOR.split(_for_member(note, guide)) if piece]
    return [written_out(piece, guide) for piece in pieces]


def for_staff(notes: Sequence[str], guide: Guide) -> list[str]:
    """What the notes say to staff only, with its abbreviations written out."""
    hidden = [note.removeprefix(_for_member(note, guide)) for note in notes]
    return [written_out(_without_marks(note, guide), guide) for note in hidden if note]


def _without_marks(note: str, guide: Guide) -> str:
    """The note without the words that mark it as being for staff only."""
    for mark in guide.staff_only:
        note = re.sub(rf"\b{re.escape(mark)}\b", "", note, flags=re.IGNORECASE)
    return note


def written_out(note: str, guide: Guide) -> str:
    """The note with each abbreviation replaced by its words, and 14/5 by 14 May."""
    words = dict(guide.shorthand)
    note = DATE.sub(lambda date: f"{date[1]} {MONTHS[int(date[2]) - 1]}", note)
    return WORD.sub(lambda found: words.get(found[0].lower(), found[0]), note)


def _for_member(note: str, guide: Guide) -> str:
    """The note up to where it is for staff only."""
    if not guide.staff_only:
        return note
    marks = "|".join(re.escape(each) for each in guide.staff_only)
    mark = re.search(rf"\(?\b(?:{marks})\b\)?\s*(?:[:-]|(?<=\)))", note, re.IGNORECASE)
    return note[: mark.start()].rstrip(" ,;/-") if mark else note


def is_shorthand(notes: Sequence[str], guide: Guide) -> bool:
    """Whether the guide knows shorthand, and not all notes are of the form `key: sentence`."""
    are_plain = all(KEYED.match(note) and _for_member(note, guide) == note for note in notes)
    return bool(guide.shorthand) and not are_plain
