"""Personal data in texts: e-mail addresses, telephone and card numbers, IBANs. Models repeat them.

    >>> [(each.kind, each.masked) for each in personal("Ring 020 7946 0958 about order 4155552671")]
    [('telephone number', '020…')]

Presidio's recognisers find them by patterns and check sums, without its language model: names of people are
not found. Addresses that are spelt out ("name at example dot com") are. Order numbers look like telephone
numbers, so a number after "order", "booking" and the like doesn't count, and bare digits count only where the
text mentions calling.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from shared.errors import UserError
from step4_finetune.data.curate.finding import ERROR, WARNING, Case, Finding, of_cases, replies
from step4_finetune.data.rows import Row

KINDS = {
    "EMAIL_ADDRESS": "e-mail address",
    "PHONE_NUMBER": "telephone number",
    "CREDIT_CARD": "card number",
    "IBAN_CODE": "IBAN",
}
# All of them have an @ or seven digits; without these the recognisers, seconds to import, are not needed.
POSSIBLE = re.compile(r"@|\d(?:[\s().+/-]*\d){6}")
NUMBER_OF = re.compile(
    r"\b(?:order|booking|ticket|reference|ref|invoice|account|contract|serial|tracking|parcel|shipment|case|code"
    r"|policy|model|membership|receipt|item|article|meter|voucher|transaction)"
    r"(?:\s+(?:number|numbers|no|nr|id|code|is|was))*[\s.:#]*$",
    re.IGNORECASE,
)
RINGING = re.compile(
    r"\b(?:phone|telephone|tel|mobile|cell|call|ring|text|reach|dial|whatsapp)\b", re.IGNORECASE
)
AT = r"(?:\[at\]|\(at\)|\bat\b)"
DOT = r"(?:\[dot\]|\(dot\)|\bdot\b)"
ENDING = r"(?:com|org|net|info|edu|gov|eu|uk|de|fr|es|nl|ch|ie|pl|se|dk|pt|ca|au|nz|io)\b"  # no English words
SPELT = re.compile(
    rf"\b[\w.+-]+(?:\s*{DOT}\s*[\w.+-]+)*\s*{AT}\s*[\w-]+(?:\s*{DOT}\s*[\w-]+)*\s*{DOT}\s*{ENDING}",
    re.IGNORECASE,
)
# Ofcom reserves these for films and books, so rows may hold them.
INVENTED = re.compile(r"(?:07700\W?900|03069\W?990)\W?\d{3}")


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
    found = [(*spelt.span(), 0.0, KINDS["EMAIL_ADDRESS"]) for spelt in SPELT.finditer(text)]
    for recognizer in recognizers() if POSSIBLE.search(text) else ():
        for each in recognizer.analyze(text, recognizer.supported_entities):
            if each.entity_type != "PHONE_NUMBER" or _is_telephone(text, each.start, each.end):
                found.append((each.start, each.end, each.score, KINDS[each.entity_type]))
    kept: list[Personal] = []
    for start, end, _, kind in sorted(found, key=lambda each: (each[0], -each[1], -each[2])):
        if not kept or start >= kept[-1].end:
            kept.append(Personal(kind, start, end, text[start : start + 3] + "…"))
    return kept


def redact(text: str, allowed: str = "") -> tuple[str, list[Personal]]:
    """The text with personal data replaced by its kind, and that data; what `allowed` contains stays.

    >>> redact("Ring 020 7946 0123 about order 447109238816.")
    ('Ring [telephone number] about order 447109238816.', [Personal(kind='telephone number', ...)])
    """
    found = [each for each in personal(text) if text[each.start : each.end] not in allowed]
    for each in reversed(found):
        text = f"{text[: each.start]}[{each.kind}]{text[each.end :]}"
    return text, found


def _is_telephone(text: str, start: int, end: int) -> bool:
    """Whether digits that look like a telephone number are one."""
    if text[start] == "+":
        return True
    if NUMBER_OF.search(text[:start]):
        return False
    plain = re.fullmatch(r"\d+(?:[.,]\d+)?", text[start:end])  # or an amount
    return not plain or bool(RINGING.search(text[max(0, start - 60) : start]))


@cache
def recognizers() -> tuple[Any, ...]:
    """Presidio's recognisers, set up to need neither a language model nor the network."""
    from shared.models.quiet import quiet_transformers

    quiet_transformers()  # which Presidio imports
    try:
        import tldextract
        from presidio_analyzer import predefined_recognizers as presidio
    except ImportError:
        raise UserError("personal data can't be looked for: pip install presidio-analyzer") from None

    known_endings = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)  # the packaged list

    class Mail(presidio.EmailRecognizer):  # Presidio's downloads the list of endings
        def validate_result(self, pattern_text: str) -> bool:
            return bool(known_endings(pattern_text).fqdn)

    class Abroad(presidio.PhoneRecognizer):  # +44 ... is one, even if the number is not valid
        def analyze(self, text: str, entities: list[str], nlp_artifacts: Any = None) -> list[Any]:
            found = super().analyze(text, entities, nlp_artifacts)
            return [each for each in found if text[each.start] == "+"]

    home = presidio.PhoneRecognizer(leniency=2)  # valid numbers only
    cards, ibans = presidio.CreditCardRecognizer(), presidio.IbanRecognizer()
    return Mail(), cards, ibans, home, Abroad(leniency=0)


def personal_data(rows: Sequence[Row]) -> Finding:
    """Rows with personal data in the prompt or in a reply."""
    cases = []
    try:
        for at, row in enumerate(rows):
            prompt = "\n".join([*(each["content"] for each in row.prompt), *row.notes])
            for name, text in (("message or notes", prompt), *replies(row)):
                cases += [
                    Case(at, row.id, f"{each.kind} in {name}: {each.masked}")
                    for each in personal(text)
                    if not INVENTED.fullmatch(text[each.start : each.end].strip())
                ]
    except UserError as missing:
        return Finding("personal data", None, len(rows), "rows", WARNING, str(missing))
    advice = "replace it by an invented one, or by a placeholder"
    return of_cases("personal data", cases, len(rows), ERROR, advice)
