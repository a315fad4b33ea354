"""What a check saw, on which side of the generation, and what was done about it.

    >>> Finding("pii", "input", "e-mail address: j.m…", REDACT)

Findings are kept and logged, so `seen` never holds what was found in full where that is personal.
"""

from __future__ import annotations

from dataclasses import dataclass

BLOCK, REDACT, REGENERATE, FALLBACK = "block", "redact", "regenerate", "fallback"
INPUT, OUTPUT = "input", "output"


@dataclass(frozen=True)
class Finding:
    """One thing that a check saw.

    check    length, language, injection, pii, offtopic; of replies: length, leak, language, facts, tone, pii
    side     input (the member's message) or output (the model's reply)
    seen     what was seen, personal data masked
    action   block (the model is not asked), redact, regenerate, fallback (the reply was not sent)
    attempt  which reply it was seen in, from 1; 0 for the message
    """

    check: str
    side: str
    seen: str
    action: str
    attempt: int = 0
