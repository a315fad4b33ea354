"""Personal data in messages and replies: found as curation finds it in the rows, and masked.

    >>> redact("Ring 020 7946 0123 about order 447109238816.")
    ('Ring [telephone number] about order 447109238816.', [Personal(kind='telephone number', ...)])

Names and postal addresses are not found: that would take a language model, and it is one that is guarded
here.
"""

from __future__ import annotations

from step4_finetune.data.curate.personal import Personal, personal


def redact(text: str, allowed: str = "") -> tuple[str, list[Personal]]:
    """A text with its kind in place of what is personal, and what that was; what is in `allowed` stays."""
    found = [each for each in personal(text) if text[each.start : each.end] not in allowed]
    for each in reversed(found):
        text = f"{text[: each.start]}[{each.kind}]{text[each.end :]}"
    return text, found
