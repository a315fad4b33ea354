"""All checks of a set of rows, as `data check` runs them.

A check whose columns the rows lack (topics, pairs, notes) is `not checked`, which is no failure. Whether a
reply answers its message is for a reader to say.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from functools import cache, partial
from typing import Any

from shared.errors import UserError
from shared.progress import track
from shared.words import count
from step4_finetune.data.curate import duplicates, labels, schema, style
from step4_finetune.data.curate.finding import ERROR, WARNING, unchecked
from step4_finetune.data.rows import SPLITS, Row, fingerprint
from step4_finetune.tone import rules
from step4_finetune.tone.rules import Guide


def run(
    rows: Sequence[Row],
    guide: Guide | None = None,
    tokenizer: Any = None,
    limit: int = schema.LIMIT,
    source: str = "rows",
) -> dict[str, Any]:
    """The finding of every check; those of the guide's rules need a guide, that of tokens needs a tokenizer.

    Raises:
        UserError: there are no rows.
    """
    if not rows:
        raise UserError("there are no rows to check")
    of_rows = [schema.schema, duplicates.duplicates, duplicates.near_duplicates, duplicates.leakage]
    of_rows += [duplicates.topics_apart, style.templates, style.length_bias, schema.personal_data]
    checks = [partial(check, rows) for check in of_rows]
    checks.append(partial(labels.faithful, rows, guide.own if guide else ""))
    if guide:
        broken = cache(lambda reply: rules.reasons(reply, guide))
        checks += [partial(check, rows, broken) for check in (labels.label_noise, labels.named_breaks)]
    else:
        checks.append(partial(unchecked, "label noise", "no guide"))
    if tokenizer is not None:
        checks.append(partial(schema.too_long, rows, tokenizer, guide.system if guide else "", limit))
    doing = f"checking {count(len(rows), 'row')}"
    one_by_one = track(doing, checks, lambda check: check.func.__name__.replace("_", " "))
    findings = [check() for check in one_by_one]
    splits, levels = Counter(row.split for row in rows), Counter(each.severity for each in findings)
    errors, warnings = (count(levels[level], level) for level in (ERROR, WARNING))
    return {
        "command": "step4_finetune data-check",
        "headline": f"{errors}, {warnings} in {count(len(rows), 'row')}",
        "data": source,
        "fingerprint": fingerprint(rows),
        "rows": len(rows),
        "pairs": sum(row.rejected is not None for row in rows),
        "splits": {split: splits[split] for split in SPLITS},
        "guide": guide.company if guide else None,
        "errors": levels[ERROR],
        "warnings": levels[WARNING],
        "findings": [asdict(each) for each in findings],
    }
