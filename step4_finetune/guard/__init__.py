"""Guardrails: checks around generation, each with measured rates, and one function that puts them together.

    >>> got = guarded(generate, "Where is my parcel?", read_guide(GUIDE))
    >>> got.reply, got.findings, got.attempts, got.fallback
    ('Dear member, ...', (), 1, False)

One file per idea. Of the message: pii (found and masked) and injection (patterns). Of the reply: reply
(length, leak of the orders, facts, tone), and pii once more. around puts them around a model and has
what goes out when nothing else may; measure says how far each can be trusted.

A check that is wrong costs something on both sides: a member with a broken boiler who is turned away is
harmed. So the checks are measured by what they stop wrongly as well as by what they catch.
"""

from step4_finetune.guard.around import Finding, Guarded, guarded

__all__ = ["Finding", "Guarded", "guarded"]
