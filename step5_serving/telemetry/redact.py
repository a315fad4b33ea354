"""Personal data and API keys taken out of a call before it is stored: mail, telephone, cards, IBANs, keys.

    >>> redact("Ring +44 20 7946 0958 or write to ann@example.com about order 4155552671")
    'Ring [telephone] or write to [e-mail] about order 4155552671'
    >>> redact("Card 4111 1111 1111 1111, not 4111 1111 1111 1112; from DE89 3704 0044 0532 0130 00")
    'Card [card], not 4111 1111 1111 1112; from [IBAN]'

Cards and IBANs have check sums (Luhn; ISO 7064), so those are found without guessing. A telephone number has
none: nine digits with spaces or dashes are taken for one, so that some other numbers go, too; bare digits
only where the text speaks of ringing up. Names of people are not found: that takes a model, and milliseconds
a call.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from shared.masking import masked
from step5_serving.telemetry.call import Call

# What all of them have: without it nothing need be looked for.
POSSIBLE = re.compile(r"@|\d(?:[\s().+/-]*\d){6}")
MAIL = re.compile(r"[\w.%+'-]{1,64}@(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24}(?![\w-])")
IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b", re.IGNORECASE)
CARD = re.compile(r"(?<![\w.-])\d(?:[ -]?\d){12,18}(?![\w-]|[.,]\d)")
PHONE = re.compile(r"(?<![\w.,/+-])(?:\+|\(?\d)(?:[ .\u00a0/()-]{0,2}\d)++(?![\w/-]|[.,:]\d)")
RINGING = re.compile(
    r"\b(?:phone|telephone|tel|mobile|cell|call|ring|text|reach|dial|whatsapp|fax)\b", re.IGNORECASE
)


def redacted(call: Call) -> Call:
    """The call with a placeholder for everything personal, in all that a caller or a model wrote.

    The passages stay: they are the operator's own documents, and a replay needs them word for word.
    """
    return replace(
        call,
        question=call.question and redact(call.question),
        answer=call.answer and redact(call.answer),
        attempts=[_deep(each) for each in call.attempts],
        parameters=_deep(call.parameters),
        error_type=call.error_type and redact(call.error_type),
    )


def _deep(value: Any) -> Any:
    """The same JSON with all of its texts redacted."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {_deep(name): _deep(each) for name, each in value.items()}
    return [_deep(each) for each in value] if isinstance(value, list | tuple) else value


def redact(text: str) -> str:
    """The text with [e-mail], [IBAN], [card], [telephone] and [secret] in the place of such."""
    text = masked(text, "[secret]")
    if not POSSIBLE.search(text):
        return text
    text = MAIL.sub("[e-mail]", text)
    text = _replace(IBAN, "[IBAN]", is_iban, text)
    text = _replace(CARD, "[card]", is_card, text)
    return _replace(PHONE, "[telephone]", _is_telephone, text)


def _replace(pattern: re.Pattern[str], by: str, holds: Callable[[re.Match[str]], bool], text: str) -> str:
    return pattern.sub(lambda found: by if holds(found) else found[0], text)


def is_card(found: re.Match[str]) -> bool:
    """Luhn's sum (ISO/IEC 7812): every second digit from the right doubled, all of it divisible by ten."""
    digits = [int(each) for each in found[0] if each.isdecimal()]
    doubled = [sum(divmod(2 * each, 10)) for each in digits[-2::-2]]
    return len(set(digits)) > 1 and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def is_iban(found: re.Match[str]) -> bool:
    """ISO 13616: the first four characters moved to the end, letters as 10 to 35, modulo 97 is 1."""
    text = found[0].replace(" ", "").upper()
    return (
        15 <= len(text) <= 34 and int("".join(str(int(each, 36)) for each in text[4:] + text[:4])) % 97 == 1
    )


def _is_telephone(found: re.Match[str]) -> bool:
    """Whether digits that have the form of a telephone number are meant as one."""
    number, before = found[0], found.string[max(0, found.start() - 60) : found.start()]
    digits = sum(each.isdecimal() for each in number)
    if not 7 <= digits <= 15:
        return False
    if number.startswith("+"):
        return True
    return bool(RINGING.search(before)) or (digits >= 9 and not number.replace(".", "").isdecimal())
