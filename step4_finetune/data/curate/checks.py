"""All checks of a set of rows, as `data check` runs them.

A check whose columns the rows lack (topics, pairs, notes) is `not checked`, which is no failure. Whether a
reply answers its message is for a reader to say.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from shared.errors import UserError
from shared.progress import stage_bar
from step4_finetune.data.curate import duplicates, labels, personal, schema, style
from step4_finetune.data.curate.finding import ERROR, WARNING, Finding, unchecked
from step4_finetune.data.rows import SPLITS, Row, fingerprint
from step4_finetune.tone import rules
from step4_finetune.tone.rules import Guide


def run_checks(
    rows: Sequence[Row], guide: Guide | None = None, tokenizer: Any = None, limit: int = schema.LIMIT
) -> list[Finding]:
    """The finding of every check; those of the guide's rules need a guide, that of tokens needs a tokenizer.

    Raises:
        UserError: there are no rows.
    """
    if not rows:
        raise UserError("there are no rows to check")
    own, system = (guide.own, guide.system) if guide else ("", "")
    checks: dict[str, Callable[[], Finding]] = {
        "form": lambda: schema.schema(rows),
        "copies": lambda: duplicates.duplicates(rows),
        "near copies": lambda: duplicates.near_duplicates(rows),
        "leaks": lambda: duplicates.leakage(rows),
        "topics": lambda: duplicates.topics_apart(rows),
        "templates": lambda: style.templates(rows),
        "lengths": lambda: style.length_bias(rows),
        "fidelity": lambda: labels.faithful(rows, own),
        "splits": lambda: schema.splits(rows),
        "personal data": lambda: personal.personal_data(rows),
        "labels": lambda: unchecked("label noise", "no guide"),
    }
    if guide:
        broken = cache(lambda reply: rules.reasons(reply, guide))
        checks["labels"] = lambda: labels.label_noise(rows, broken)
        checks["named breaks"] = lambda: labels.named_breaks(rows, broken)
    if tokenizer is not None:
        checks["tokens"] = lambda: schema.too_long(rows, tokenizer, system, limit)
    findings = []
    with stage_bar(f"checking {len(rows)} rows", len(checks)) as stage:
        for name, check in checks.items():
            stage(name)
            findings.append(check())
    return findings


def report(
    rows: Sequence[Row], findings: Sequence[Finding], guide: Guide | None = None, source: str = "rows"
) -> dict[str, Any]:
    """The findings as facts."""
    splits, levels = Counter(row.split for row in rows), Counter(each.severity for each in findings)
    errors, warnings = (
        f"{levels[level] or 'no'} {level}{'' if levels[level] == 1 else 's'}" for level in (ERROR, WARNING)
    )
    return {
        "command": "step4_finetune data-check",
        "headline": f"{errors}, {warnings} in {len(rows)} rows",
        "data": source,
        "fingerprint": fingerprint(rows),
        "rows": len(rows),
        "pairs": sum(row.rejected is not None for row in rows),
        "splits": {split: splits[split] for split in SPLITS},
        "guide": guide.company if guide else None,
        "errors": levels[ERROR],
        "warnings": levels[WARNING],
        "findings": [each.as_dict() for each in findings],
    }
