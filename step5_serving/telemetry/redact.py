"""Masks personal data and API keys in a call before it is stored; shared/personal.py finds the former.

>>> redact("Ring +44 20 7946 0958 or write to ann@example.com, key sk-ant-api03-abcdefghijkl")
'Ring [telephone number] or write to [e-mail address], key [secret]'
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from shared import personal
from shared.masking import masked
from step5_serving.telemetry.call import Call


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
    """The text with [secret] in place of API keys and passwords, and personal data replaced by its kind."""
    return personal.redact(masked(text, "[secret]"))[0]
