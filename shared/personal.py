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
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from string import ascii_lowercase, ascii_uppercase
from typing import Any

from shared.errors import UserError
from shared.models.quiet import quiet_transformers

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
# Besides the category Cf: a joiner, fillers of Korean, and selectors of a variant.
NO_WIDTH = re.compile(r"[\u034f\u115f\u1160\u3164\ufe00-\ufe0f\uffa0]")
UPPER = str.maketrans(ascii_lowercase, ascii_uppercase)  # str.upper would make two letters of some


@dataclass(frozen=True)
class Personal:
    """One piece of personal data in a text, by its place."""

    kind: str  # card number, IBAN, e-mail address or telephone number
    start: int
    end: int
    masked: str  # its first three characters


def personal(text: str) -> list[Personal]:
    """The personal data of a text, in its order; of two that overlap, the first and longer one.

    Raises:
        UserError: the text may hold some, and presidio-analyzer is not installed.
    """
    if not POSSIBLE.search(text):
        return []
    kept: list[Personal] = []
    for piece in sorted(_matches(text), key=lambda piece: (piece.start, -piece.end)):
        if not kept or piece.start >= kept[-1].end:
            kept.append(piece)
    return kept


def redact(text: str, allowed: str = "") -> tuple[str, list[Personal]]:
    """The text with personal data replaced by its kind, and that data; what `allowed` contains stays."""
    pieces = [piece for piece in personal(text) if text[piece.start : piece.end] not in allowed]
    for piece in reversed(pieces):  # from the end, so that the places before it stay right
        text = f"{text[: piece.start]}[{piece.kind}]{text[piece.end :]}"
    return text, pieces


def as_read(text: str) -> str:
    """The text as people read it: full-width and other forms of a character become the usual one (NFKC).

    What has no width is dropped: a zero-width space in an address hides it from every pattern.

    >>> as_read("ann\\uff20exam\\u200bple.com")
    'ann@example.com'
    """
    visible = [character for character in text if unicodedata.category(character) != "Cf"]
    return unicodedata.normalize("NFKC", NO_WIDTH.sub("", "".join(visible)))


def _matches(text: str) -> Iterator[Personal]:
    """Everything that looks like personal data; some of it may overlap."""

    def piece(kind: str, start: int, end: int) -> Personal:
        return Personal(kind, start, end, text[start : start + 3] + "…")

    presidio = recognizers()
    for card in presidio.cards.analyze(text, ["CREDIT_CARD"]):
        yield piece("card number", card.start, card.end)
    for iban in presidio.ibans.analyze(text.translate(UPPER), ["IBAN_CODE"]):
        yield piece("IBAN", iban.start, iban.end)
    for pattern in (MAIL, SPELT):
        for address in pattern.finditer(text):
            yield piece("e-mail address", *address.span())
    for number in PHONE.finditer(text):
        if _is_telephone(number):
            yield piece("telephone number", *number.span())


def _is_telephone(match: re.Match[str]) -> bool:
    """Whether digits that look like a telephone number are one, by their form and the words before them."""
    number = match[0]
    before = match.string[max(0, match.start() - 60) : match.start()]  # a few words
    digits = sum(character.isdecimal() for character in number)
    if not 7 <= digits <= 15 or DATE.match(number) or NUMBER_OF.search(before):
        return False
    if number.startswith("+") or CALLING.search(before):
        return True
    if AMOUNT.fullmatch(number):
        return False
    if digits >= 9 and NATIONAL.fullmatch(number):
        return True
    return bool(recognizers().telephones.analyze(number, ["PHONE_NUMBER"]))


@dataclass(frozen=True)
class Recognizers:
    """Presidio's recognisers, without a language model or the network."""

    cards: Any
    ibans: Any
    telephones: Any  # numbers that are valid in one of its countries


@cache
def recognizers() -> Recognizers:
    """Load the recognisers: seconds, the first time.

    Raises:
        UserError: presidio-analyzer is not installed.
    """
    quiet_transformers()  # which Presidio imports
    try:
        from presidio_analyzer import Pattern  # seconds, which texts with nothing POSSIBLE needn't wait for
        from presidio_analyzer import predefined_recognizers as presidio
    except ImportError:
        raise UserError("personal data can't be looked for: pip install presidio-analyzer") from None
    return Recognizers(
        cards=presidio.CreditCardRecognizer(patterns=[Pattern("card", CARD, 0.5)]),
        ibans=presidio.IbanRecognizer(),
        telephones=presidio.PhoneRecognizer(leniency=2),
    )
