"""Masks personal data and API keys in a call before it is stored: mail, telephone, cards, IBANs, keys.

    >>> redact("Ring +44 20 7946 0958 or write to ann@example.com about order 4155552671")
    'Ring [telephone] or write to [e-mail] about order 4155552671'
    >>> redact("Card 4111 1111 1111 1111, not 4111 1111 1111 1112; from DE89 3704 0044 0532 0130 00")
    'Card [card], not 4111 1111 1111 1112; from [IBAN]'

Cards and IBANs have checksums (Luhn; ISO 7064), so few other numbers are masked. Telephone numbers have none:
nine digits with spaces or dashes count as one, bare digits only after a word like "call". Names of people are
not found: that takes a model, and milliseconds per call.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from shared.masking import masked
from step5_serving.telemetry.call import Call

POSSIBLE = re.compile(r"@|\d(?:[\s().+/-]*\d){6}")  # every match of the others contains this
MAIL = re.compile(r"[\w.%+'-]{1,64}@(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24}(?![\w-])")
IBAN = re.compile(r"\b[A-Za-z]{2}\d{2}(?: ?[A-Za-z0-9]{4}){2,7}(?: ?[A-Za-z0-9]{1,3})?\b")
CARD = re.compile(r"(?<![\w.-])\d(?:[ -]?\d){12,18}(?![\w-]|[.,]\d)")
PHONE = re.compile(r"(?<![\w.,/+-])(?:\+|\(?\d)(?:[ .\u00a0/()-]{0,2}\d)++(?![\w/-]|[.,:]\d)")
CALLING = re.compile(
    r"\b(?:phone|telephone|tel|mobile|cell|call|ring|text|reach|dial|whatsapp|fax)\b", re.IGNORECASE
)


def redacted(call: Call) -> Call:
    """A copy with placeholders in everything that a caller or a model wrote.

    The passages stay: they are the operator's own documents, and a replay needs them unchanged.
    """
    names = ("question", "answer", "attempts", "parameters", "error_type")
    return replace(call, **{name: _redact_json(getattr(call, name)) for name in names})


def _redact_json(value: Any) -> Any:
    """The same value with every text in it redacted."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {_redact_json(name): _redact_json(each) for name, each in value.items()}
    return [_redact_json(each) for each in value] if isinstance(value, list | tuple) else value


def redact(text: str) -> str:
    """The text with [e-mail], [IBAN], [card], [telephone] and [secret] in place of such data."""
    text = masked(text, "[secret]")
    if not POSSIBLE.search(text):
        return text
    text = MAIL.sub("[e-mail]", text)
    for pattern, placeholder, is_valid in (
        (IBAN, "[IBAN]", is_iban),
        (CARD, "[card]", is_card),
        (PHONE, "[telephone]", is_telephone),
    ):
        text = pattern.sub(lambda m, new=placeholder, valid=is_valid: new if valid(m) else m[0], text)
    return text


def is_card(match: re.Match[str]) -> bool:
    """Luhn's checksum (ISO/IEC 7812): every second digit from the right doubled, the sum divisible by 10."""
    digits = [int(each) for each in match[0] if each.isdecimal()]
    doubled = [sum(divmod(2 * each, 10)) for each in digits[-2::-2]]
    return len(set(digits)) > 1 and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def is_iban(match: re.Match[str]) -> bool:
    """ISO 13616: with the first four characters moved to the end and letters as 10 to 35, modulo 97 is 1."""
    text = match[0].replace(" ", "").upper()
    number = "".join(str(int(each, 36)) for each in text[4:] + text[:4])
    return 15 <= len(text) <= 34 and int(number) % 97 == 1


def is_telephone(match: re.Match[str]) -> bool:
    """Whether digits that look like a telephone number are one, by their form and the words before them."""
    number, before = match[0], match.string[max(0, match.start() - 60) : match.start()]
    digits = sum(each.isdecimal() for each in number)
    if not 7 <= digits <= 15:
        return False
    if number.startswith("+"):
        return True
    return bool(CALLING.search(before)) or (digits >= 9 and not number.replace(".", "").isdecimal())
