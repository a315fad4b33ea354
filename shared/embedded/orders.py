"""What a tool that looks things up is not called for: orders to act, and the past.

    >>> is_beyond("Buy me 20 shares of Apple", {"name": "get_stock_price", "input_schema": {}})
    True

By the words of a question, it is as near to a tool as any; the verb makes the difference. A verb that the
tool's own name or description has is the tool's business.
"""

from __future__ import annotations

import re
from typing import Any

from shared.embedded import words
from shared.embedded.slots import mentions
from shared.embedded.words import about, as_words, bag, stem

ACTS = """
buy sell book send order pay transfer take make stop cancel move reserve purchase invest trade delete remove
change turn switch email text withdraw deposit wire remind schedule hack steal set open close call play
"""
# Tools that look things up; to create, set or start is itself an order.
LOOKS_UP = """
get find search list show check look calculate compute convert fetch retrieve lookup query read detect track
determine
"""
MONTHS = "january|february|march|april|may|june|july|august|september|october|november|december"
ORDER = re.compile(
    r"^\W*(?:(?:please|and|then|also|hey|hi|ok|now|just|kindly|can you|could you|would you|will you"
    r"|i want you to|go ahead and)\W+)*"
    rf"(?P<act>{'|'.join(ACTS.split())})\b(?! (?:sure|sense|prices?)\b)(?!.*\binto\b)",
    re.I,
)
PAST = re.compile(
    r"\byesterday\b|\b(?:last|previous|past) (?:night|week|weekend|month|year|summer|winter|spring|autumn"
    rf"|fall|decade|{MONTHS}|monday|tuesday|wednesday|thursday|friday|saturday|sunday)\b"
    r"|\b(?:days?|weeks?|months?|years?) ago\b"
    r"|\bin (?:1\d\d|20[01])\d(?=\s*(?:$|[.,](?!\d)|[;:?!)]|(?:and|what|how|was|were|did|the|at|for)\b))",
    re.I,
)
PRESENT = re.compile(
    r"\b(?:is|are|am|will|now|today|tomorrow|current(?:ly)?|latest)\b|['’]s\b|\bdo(?:es)?\b", re.I
)
HISTORY = "history historical past date start year from between period previous"
KNOWS_PAST = {stem(word) for word in HISTORY.split()}


KNOWLEDGE = re.compile(
    r"^\W*(?:(?:so|and|but|hey|hi|please|can you|could you|tell me)\W+)*"
    r"(?:why (?:do|does|did|is|are)\b|explain|define|describe"
    r"|(?:write|tell|sing) (?:me )?an?\b|what (?:does|do) .* (?:mean|stand for)"
    r"|what(?: is| are|['’]?s) (?:the )?(?:difference|meaning|definition|point)\b"
    r"|how (?:do|does|did) .* (?:work|form|happen)|do you (?:like|think|know|believe)"
    r"|what(?:'s| is) your)",
    re.I,
)


WHO = re.compile(
    r"^\W*(?:(?:so|and|but|hey|hi)\W+)*"
    r"(?:who (?:is|was|\w+ed|wrote|made|won|owns|runs)|when (?:was|were|did))\b",
    re.I,
)
STATEMENT = re.compile(
    r"^\W*(?:(?:hi|hello|hey|so|well|and|but|good morning)\W+)*"
    r"(?:i['’]?m|i['’]?ve|i|we|we['’]?re|my|our|he|she|they)\b",
    re.I,
)
REQUEST = re.compile(
    r"\?|\b(?:want|like|need|wonder|curious|tell|know|how|what|when|which|whether|where|if|check|please|show|give)\b",
    re.I,
)


def is_statement(text: str) -> bool:
    """Whether the text only tells something, the context of a question: "I'm flying to Oslo." """
    return bool(STATEMENT.search(text)) and not REQUEST.search(text)


def is_of_knowledge(text: str, tool: dict[str, Any] | None = None) -> bool:
    """Whether the text asks to explain, define, tell or write, or who somebody is.

    Who and when may be the business of a tool that shares words with the question.
    """
    own = set(words.stems(about(tool))) if tool else set()
    return bool(KNOWLEDGE.search(text) or (WHO.search(text) and not mentions(text, own)))


def is_beyond(text: str, tool: dict[str, Any]) -> bool:
    """Whether the text orders something else than the tool does, or asks for a past that it doesn't know."""
    verbs = {*as_words(tool["name"]).split()[:1], *(tool.get("description") or "").lower().split()[:1]}
    if not verbs & set(LOOKS_UP.split()):
        return False
    own, order = bag(tool), ORDER.search(text)
    if order and stem(order["act"].lower()) not in own:
        return True
    return bool(PAST.search(text)) and not PRESENT.search(text) and not own & KNOWS_PAST
