"""Does the answer have what the question asks for? A check without a model, of codes and types of values.

    >>> missing("What does the Kingfisher weigh?", "It costs EUR 120.", passages="The Kingfisher ...")
    'a weight'
    >>> missing("What does E-160 mean?", "E-140: the self-test failed.", passages="E-125 ... E-140 ...")
    'E-160'

Confidence says whether a passage is about the question, and the price list is about the Kingfisher. But if
the question asks for a weight, an answer without one is wrong. Most questions show no type, and pass. It
works for English only.
"""

import re

from step3_rag.answer.claims import MONTHS, WORDS

NUMBER = rf"\d|\b(?:{'|'.join(WORDS)}|half|no|every|each|daily|weekly|monthly|yearly)\b"
MONEY = r"[€$£]|\b(?:EUR|USD|GBP|CHF|euros?|dollars?|pounds?|cents?|free|nothing)\b|\d[.,]\d\d\b|\d ?%"
TIME = (
    rf"{NUMBER}|{'|'.join(MONTHS)}|day|morning|noon|evening|night|week|year|hour|at once|before|after|until"
)
WEIGHT = r"\d\s?(?:k?g|mg|t|lbs?|oz)\b|gram|kilo|tonne|pound|ounce"
HOW = "many|much|often|far|long|old|high|hot|cold|deep|wide|tall|fast|quickly|soon|early|late|big|large|few"
# The type, the words in a question that ask for it, what an answer must have; the first match counts.
TYPES = [
    ("a weight", r"\b(?:weighs?|weight|heavy)\b", WEIGHT),
    ("an e-mail address", r"\be-?mail address\b", "@"),
    ("a telephone number", r"\b(?:tele)?phone number\b|\bextension\b", r"\d{3}"),
    ("an amount of money", r"\b(?:costs?|price|salary|wages?|fee|expensive|charges?)\b", MONEY),
    ("a number", rf"\bhow (?:{HOW})\b", NUMBER),
    ("a time", r"\bwhen\b|\b(?:what|which) (?:date|day|year|month|time)\b", TIME),
]
CODE = re.compile(r"\b[A-Za-z](?=[\w-]*\d)[\w-]*\b")  # E-160, P80, HG-1187


def missing(question: str, answer: str, passages: str) -> str | None:
    """What the question asks for and the answer lacks, in words; None if nothing is known to be missing.

    A code of the question must stand in the passages, a value of the type asked for in the answer.
    """
    for code in CODE.findall(question):
        if code.lower() not in passages.lower():
            return code
    for name, asks, has in TYPES:
        if re.search(asks, question, re.IGNORECASE):
            return None if re.search(has, answer, re.IGNORECASE) else name
    return None
