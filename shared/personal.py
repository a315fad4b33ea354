"""Personal data in texts: e-mail addresses, telephone and card numbers, IBANs.

    >>> redact("Ring 020 7946 0123 about order 447109238816.")
    ('Ring [telephone number] about order 447109238816.', [Personal(kind='telephone number', ...)])

Presidio's recognisers check the sums of cards and IBANs, and whether a telephone number is valid in one of
eight countries. Its language model is not used: names of people are not found. Addresses that are spelt out
("name at example dot com") are.

Order numbers look like telephone numbers, so a number after "order", "booking" and the like doesn't count,
and bare digits count only where the text mentions calling. With + before it, or with nine digits in groups
that begin with 0, a number counts in any country.
"""

import re
from dataclasses import dataclass
from functools import cache
from string import ascii_lowercase, ascii_uppercase
from typing import Any

from shared.errors import UserError

# Every match of the others has one of these; without them the recognisers, seconds to import, are not needed.
POSSIBLE = re.compile(r"@|\bdot\b|\d(?:[\s().+/-]*\d){6}", re.IGNORECASE)
MAIL = re.compile(r"[\w.%+'-]{1,64}@(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24}(?![\w-])")
AT = r"\s{0,3}(?:\[at\]|\(at\)|\bat\b)\s{0,3}"
DOT = r"\s{0,3}(?:\[dot\]|\(dot\)|\bdot\b)\s{0,3}"
ENDING = r"(?:com|org|net|info|edu|gov|eu|uk|de|fr|es|nl|ch|ie|pl|se|dk|pt|ca|au|nz|io)\b"  # no English words
SPELT = re.compile(
    rf"\b[\w.+-]{{1,64}}(?:{DOT}[\w.+-]{{1,64}}){{0,4}}{AT}[\w-]{{1,63}}(?:{DOT}[\w-]{{1,63}}){{0,4}}{DOT}{ENDING}",
    re.IGNORECASE,
)
# 13 to 19 digits that are not all the same.
CARD = r"(?<![\w.-])(?!(\d)(?:[ -]?\1){12,18}(?![ -]?\d))\d(?:[ -]?\d){12,18}(?![\w-]|[.,]\d)"
PHONE = re.compile(r"(?<![\w.,/+-])(?:\+|\(?\d)(?:[ .\u00a0/()-]{0,2}\d)++(?![\w/-]|[.,:]\d)")
DATE = re.compile(r"\d{1,4}([./-])\d{1,2}\1\d{2,4}(?![\d./-])")
AMOUNT = re.compile(r"\d+(?:\.\d+)?")  # or bare digits
NATIONAL = re.compile(r"\(?0\d[\d ()/\u00a0-]+")
NUMBER_OF = re.compile(
    r"\b(?:order|booking|ticket|reference|ref|invoice|account|contract|serial|tracking|parcel|shipment|case|code"
    r"|policy|model|membership|receipt|item|article|meter|voucher|transaction)"
    r"(?:\s+(?:number|numbers|no|nr|id|code|is|was))*[\s.:#]*$",
    re.IGNORECASE,
)
CALLING = re.compile(
    r"\b(?:phone|telephone|tel|mobile|cell|call|ring|text|reach|dial|whatsapp|fax)\b", re.IGNORECASE
)
UPPER = str.maketrans(ascii_lowercase, ascii_uppercase)  # str.upper would make two letters of some


@dataclass(frozen=True)
class Personal:
    """One piece of personal data in a text, by its place."""

    kind: str
    start: int
    end: int
    masked: str


def personal(text: str) -> list[Personal]:
    """The personal data of a text, in its order.

    Raises:
        UserError: the text may hold some, and presidio-analyzer is not installed.
    """
    if not POSSIBLE.search(text):
        return []
    cards, ibans, _ = recognizers()
    found = [(each.start, each.end, "card number") for each in cards.analyze(text, ["CREDIT_CARD"])]
    found += [(each.start, each.end, "IBAN") for each in ibans.analyze(text.translate(UPPER), ["IBAN_CODE"])]
    for pattern in (MAIL, SPELT):
        found += [(*each.span(), "e-mail address") for each in pattern.finditer(text)]
    found += [(*each.span(), "telephone number") for each in PHONE.finditer(text) if _is_telephone(each)]
    kept: list[Personal] = []
    for start, end, kind in sorted(found, key=lambda each: (each[0], -each[1])):
        if not kept or start >= kept[-1].end:
            kept.append(Personal(kind, start, end, text[start : start + 3] + "…"))
    return kept


def redact(text: str, allowed: str = "") -> tuple[str, list[Personal]]:
    """The text with personal data replaced by its kind, and that data; what `allowed` contains stays."""
    found = [each for each in personal(text) if text[each.start : each.end] not in allowed]
    for each in reversed(found):
        text = f"{text[: each.start]}[{each.kind}]{text[each.end :]}"
    return text, found


def _is_telephone(found: re.Match[str]) -> bool:
    """Whether digits that look like a telephone number are one, by their form and the words before them."""
    number, before = found[0], found.string[max(0, found.start() - 60) : found.start()]
    digits = sum(each.isdecimal() for each in number)
    if not 7 <= digits <= 15 or DATE.match(number) or NUMBER_OF.search(before):
        return False
    if number.startswith("+") or CALLING.search(before):
        return True
    if AMOUNT.fullmatch(number):
        return False
    is_national = digits >= 9 and NATIONAL.fullmatch(number)
    return bool(is_national or recognizers()[2].analyze(number, ["PHONE_NUMBER"]))


@cache
def recognizers() -> tuple[Any, Any, Any]:
    """Presidio's recognisers of cards, IBANs and valid telephone numbers, without language model or network.

    Raises:
        UserError: presidio-analyzer is not installed.
    """
    from shared.models.quiet import quiet_transformers

    quiet_transformers()  # which Presidio imports
    try:
        from presidio_analyzer import Pattern
        from presidio_analyzer import predefined_recognizers as presidio
    except ImportError:
        raise UserError("personal data can't be looked for: pip install presidio-analyzer") from None
    cards = presidio.CreditCardRecognizer(patterns=[Pattern("card", CARD, 0.5)])
    return cards, presidio.IbanRecognizer(), presidio.PhoneRecognizer(leniency=2)
