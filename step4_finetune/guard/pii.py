"""Personal data in messages and replies: e-mail addresses, telephone and card numbers, IBANs.

    >>> redact("Ring 020 7946 0123 about order 447109238816.")
    ('Ring [telephone number] about order 447109238816.', [Personal(kind='telephone number', ...)])

Curation looks for the same things in the rows (data/curate/personal.py), by Presidio's patterns and check
sums.
Here one comes on top, because people write it to get past a form: the address that is spelt out, "name at
example dot com", by a recogniser of our own (a pattern is all that Presidio needs). Names and postal
addresses are not found: that would take a language model, and it is one that is guarded here.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.util import find_spec
from typing import Any

from shared.errors import UserError
from step4_finetune.data.curate.personal import KINDS, Personal, personal

LABELS = {"email": "e-mail address", "phone": "telephone number", "card": "card number", "iban": "IBAN"}
AT = r"(?:\[at\]|\(at\)|\bat\b)"
DOT = r"(?:\[dot\]|\(dot\)|\bdot\b)"
ENDING = r"(?:com|org|net|info|edu|gov|eu|uk|de|fr|es|nl|ch|ie|pl|se|dk|pt|ca|au|nz|io)\b"  # no English words
SPELT = rf"\b[\w.+-]+(?:\s*{DOT}\s*[\w.+-]+)*\s*{AT}\s*[\w-]+(?:\s*{DOT}\s*[\w-]+)*\s*{DOT}\s*{ENDING}"
POSSIBLE = re.compile(rf"{AT}.+{DOT}", re.IGNORECASE)


def find(text: str) -> list[Personal]:
    """What is personal in a text, from its beginning on.

    Raises:
        UserError: presidio-analyzer is not installed.
    """
    if find_spec("presidio_analyzer") is None:
        raise UserError(
            "personal data can't be looked for: pip install presidio-analyzer, or leave out the check pii"
        )
    found = personal(text)
    if POSSIBLE.search(text):  # only then: Presidio takes seconds to come
        found += [
            Personal(KINDS[each.entity_type], each.start, each.end, text[each.start : each.start + 3] + "…")
            for each in _spelt_out().analyze(text, ["EMAIL_ADDRESS"])
            if not any(other.start < each.end and each.start < other.end for other in found)
        ]
    return sorted(found, key=lambda each: each.start)


@cache
def _spelt_out() -> Any:
    from shared.models.quiet import quiet_transformers

    quiet_transformers()  # which Presidio imports
    from presidio_analyzer import Pattern, PatternRecognizer

    return PatternRecognizer("EMAIL_ADDRESS", patterns=[Pattern("address spelt out", SPELT, 0.6)])


def redact(text: str, allowed: str = "") -> tuple[str, list[Personal]]:
    """A text with its kind in place of what is personal, and what that was; what is in `allowed` stays."""
    found = [each for each in find(text) if text[each.start : each.end] not in allowed]
    for each in reversed(found):
        text = f"{text[: each.start]}[{each.kind}]{text[each.end :]}"
    return text, found
