"""Is the tuned model better than prompting, and did it break anything? Systems side by side, with intervals.

    python -m step4_finetune evaluate --adapter runs/tone

    system    adherence  all rules  fits    both   ...
    base           0.51   0% ...
    few-shot       0.96  82% ...
    tone           1.00  98% ...
    cost of it  read  written  s a reply  trained, s     MB
    few-shot     566       54        3.5           -      -
    tone          54       47        1.0         181  2,954

Every system answers every message of the split once, greedily. Rules, fit, subject and facts are judged by
program (rules.py, content.py); differences are paired, over the same messages. Leak, kept answers and
perplexity (general.py) belong to a model and not to a prompt, so they are measured for the base and for each
tuned model; for an activated adapter also as it would be merged, where it is always at work.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import Any

from shared import hardware
from shared.config import Settings
from shared.errors import UserError
from shared.models import load_causal_lm, load_tokenizer
from shared.models.device import settings_for_batch
from shared.stats import bootstrap, wilson
from step4_finetune import card_facts, content, general, merge, tuning
from step4_finetune.data import SPLITS, Row
from step4_finetune.generate import Reply, replies
from step4_finetune.guide import Guide
from step4_finetune.malloc import keep_memory
from step4_finetune.systems import System, systems

REPLY_TOKENS = 128
SHARES = ("all_rules", "fits", "both", "subject", "facts", "healthy", "content", "whole")
Progress = Callable[[str], None]


def run(
    settings: Settings,
    guide: Guide,
    rows: Sequence[Row],
    *,
    split: str,
    baselines: Sequence[str],
    adapters: Sequence[Path],
    limit: int | None = None,
    intents: Mapping[str, content.Intent] | None = None,
    bar: AbstractContextManager[Progress] | None = None,
) -> dict[str, Any]:
    """Answer, judge and compare; `bar` opens once nothing is wrong.

    Raises:
        UserError: no rows in the split, or an adapter that doesn't fit.
    """
    asked = [row for row in rows if row.split == split][:limit]
    if not asked:
        raise UserError(
            f"there are no rows in the split {split}: use one of {', '.join(SPLITS)} that has some"
        )
    train = [row for row in rows if row.split == "train"]
    compared = systems(baselines, adapters, guide, train)
    keep_memory()
    settings = settings_for_batch(settings)
    tokenizer = load_tokenizer(settings=settings)
    questions = general.questions("test" if split == "test" else "dev")[: limit or None]
    model: Any = load_causal_lm(settings=settings)
    for adapter in adapters:
        tuning.check_run(settings, adapter, model)
    found, models, loaded = [], {}, None
    with bar or nullcontext(lambda _stage: None) as progress:
        for system in compared:
            progress(system.name)
            if system.adapter and system.adapter != loaded:
                model, loaded = tuning.load_tuned(settings, system.adapter), system.adapter
            name = system.name if system.adapter else "base"
            if name not in models:
                models[name] = general.measure(model, tokenizer, guide, questions)
            if system.adapter and merge.call(system.adapter):
                always = merge.merged(settings, system.adapter, dtype=settings.dtype)
                models[f"{name}, merged"] = general.measure(always, tokenizer, guide, questions)
            start = time.perf_counter()
            got = replies(model, tokenizer, [system.prompt(row) for row in asked], REPLY_TOKENS)
            seconds = time.perf_counter() - start
            found.append(_measured(system, asked, got, seconds, guide, intents or {}))
    facts = {
        "command": "step4_finetune evaluate",
        "company": guide.company,
        "split": split,
        "n": len(asked),
        "model": settings.model,
        "systems": found,
        "models": models,
        "differences": differences(found),
        "messages": [
            {name: getattr(row, name) for name in ("id", "message", "intent", "chosen", "rejected")}
            for row in asked
        ],
        "machine": hardware.describe(),
    }
    last = found[-1]
    facts["headline"] = f"{last['name']}: all rules {last['all_rules']['share']:.0%} of {len(asked)} replies"
    return facts


def _measured(
    system: System,
    rows: Sequence[Row],
    got: Sequence[Reply],
    seconds: float,
    guide: Guide,
    intents: Mapping[str, content.Intent],
) -> dict[str, Any]:
    """One system's replies and what they are worth."""
    scores = [
        content.score_row(reply.text, row, guide, intents) for row, reply in zip(rows, got, strict=True)
    ]
    adherence = [score.adherence for score in scores]
    return {
        "name": system.name,
        "tuned": system.adapter is not None,
        "training": training(system.adapter) if system.adapter else None,
        "adherence": {"mean": fmean(adherence), "interval": bootstrap(adherence)},
        **{name: _share([getattr(score, name) for score in scores]) for name in SHARES},
        "rules": {rule.id: _share([score.rules[rule.id] for score in scores]) for rule in guide.rules},
        "prompt_tokens": fmean(reply.prompt_tokens for reply in got),
        "reply_tokens": fmean(reply.tokens for reply in got),
        "seconds_a_reply": seconds / len(got),
        "replies": [asdict(reply) | score.as_json() for reply, score in zip(got, scores, strict=True)],
    }


def training(adapter: Path) -> dict[str, Any]:
    """What the run cost: seconds, and MB of memory at most; None where its run.json doesn't say."""
    try:
        run = card_facts.read_run(adapter)
    except UserError:
        run = {}
    known = {"seconds": run.get("seconds_in_all"), "peak_memory_mb": run.get("peak_memory_mb")}
    return {name: each if isinstance(each, int | float) else None for name, each in known.items()}


def _share(values: Sequence[bool | None]) -> dict[str, Any] | None:
    """Hits of n with their interval; what is unknown doesn't count, and None where nothing is known."""
    known = [bool(value) for value in values if value is not None]
    if not known:
        return None
    return {
        "hits": sum(known),
        "n": len(known),
        "share": sum(known) / len(known),
        "interval": wilson(sum(known), len(known)),
    }


def differences(found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Each tuned model against each other system: adherence, rules, fits, both, whole; paired bootstrap."""
    rows = []
    for at, system in enumerate(found):
        if not system["tuned"]:
            continue
        for other in found[:at]:
            for name in ("adherence", "all_rules", "fits", "both", "whole"):
                pairs = [
                    (float(mine[name]), float(theirs[name]))
                    for mine, theirs in zip(system["replies"], other["replies"], strict=True)
                    if mine[name] is not None and theirs[name] is not None
                ]
                if pairs:
                    changes = [mine - theirs for mine, theirs in pairs]
                    rows.append(
                        {
                            "system": system["name"],
                            "over": other["name"],
                            "measure": name,
                            "difference": fmean(changes),
                            "interval": bootstrap(changes),
                            "n": len(pairs),
                        }
                    )
    return rows
