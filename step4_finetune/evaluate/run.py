"""Compare base, prompted and tuned models, with intervals.

    python -m step4_finetune evaluate --adapter runs/tone

Every system answers every message of the split once, greedily, and a program judges rules and fidelity
(tone/). Differences are paired over the same messages. Leak, right answers and perplexity (forgetting.py)
are measured once for each model, and for an activated adapter also after merging.
"""

import csv
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from itertools import product
from operator import attrgetter
from pathlib import Path
from statistics import fmean
from typing import Any

from shared import hardware
from shared.cli import to_json
from shared.config import Settings
from shared.errors import UserError
from shared.models import load_causal_lm, load_tokenizer
from shared.models.device import settings_for_batch
from shared.progress import track
from shared.report.record import ensure_writable, picture_path
from shared.stats import Share, bootstrap
from step4_finetune.data.rows import SPLITS, Row
from step4_finetune.evaluate import forgetting
from step4_finetune.evaluate.systems import System, systems
from step4_finetune.evaluate.validate import share
from step4_finetune.models import merge
from step4_finetune.models.generate import Reply, replies
from step4_finetune.tone import template
from step4_finetune.tone.rules import Guide
from step4_finetune.tone.scores import SHARES, score
from step4_finetune.train.malloc import keep_memory

REPLY_TOKENS = 160
COMPARED = ("adherence", "all_rules", "faithful", "reads", "good")


def run(
    settings: Settings,
    guide: Guide,
    rows: Sequence[Row],
    *,
    split: str,
    baselines: Sequence[str],
    adapters: Sequence[Path],
    limit: int | None = None,
    general_file: Path | None = None,
) -> dict[str, Any]:
    """Answer, score and compare.

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
    which = "test" if split == "test" else "dev"
    questions = forgetting.read_questions(which, general_file or forgetting.GENERAL)[:limit]
    if not questions:
        raise UserError(f"{general_file} has no questions for {which}: leave its column split out")
    for adapter in adapters:
        merge.check(settings, adapter)
    found, models = [], {}
    model: Any = None
    if any(system.has_model for system in compared):
        keep_memory()
        settings = settings_for_batch(settings)
        tokenizer = load_tokenizer(settings=settings)
        model = load_causal_lm(settings=settings)
    for system in track("evaluating", compared, attrgetter("name")):
        if not system.has_model:
            start = time.perf_counter()
            got = [Reply(template.reply(row.notes, guide), 0, 0, True) for row in asked]
            found.append(_measured(system, asked, got, time.perf_counter() - start, guide))
            continue
        if system.adapter:
            model = merge.load_tuned(settings, system.adapter)
        name = system.name if system.adapter else "base"
        if name not in models:
            models[name] = forgetting.measure(model, tokenizer, guide, questions)
        if system.adapter and merge.invocation_of(system.adapter):
            always = merge.merged(settings, system.adapter)
            models[f"{name}, merged"] = forgetting.measure(always, tokenizer, guide, questions)
        start = time.perf_counter()
        got = replies(model, tokenizer, [system.prompt(row) for row in asked], REPLY_TOKENS)
        found.append(_measured(system, asked, got, time.perf_counter() - start, guide))
    last, texts = found[-1], ("id", "message", "notes", "facts", "internal", "chosen", "rejected")
    all_rules = f"{last['all_rules'].share:.0%} of {len(asked)} replies keep all rules"
    return {
        "command": "step4_finetune evaluate",
        "headline": f"{last['name']}: {all_rules}",
        "company": guide.company,
        "split": split,
        "n": len(asked),
        "model": settings.model,
        "systems": found,
        "models": models,
        "differences": differences(found, [row.topic for row in asked]),
        "messages": [{name: getattr(row, name) for name in texts} for row in asked],
        "machine": hardware.describe(),
    }


def _measured(
    system: System, rows: Sequence[Row], got: Sequence[Reply], seconds: float, guide: Guide
) -> dict[str, Any]:
    """One system's replies and their scores."""
    scores = [
        score(reply.text, guide, row.notes, row.message, row.compared_with)
        for row, reply in zip(rows, got, strict=True)
    ]
    adherence, topics = [each.adherence for each in scores], [row.topic for row in rows]
    return {
        "name": system.name,
        "tuned": system.adapter is not None,
        "adherence": {"mean": fmean(adherence), "interval_95": interval(adherence, topics)},
        **{name: _share([getattr(each, name) for each in scores], topics) for name in SHARES},
        "rules": {rule.id: _share([each.rules[rule.id] for each in scores], topics) for rule in guide.rules},
        "prompt_tokens": fmean(reply.prompt_tokens for reply in got),
        "reply_tokens": fmean(reply.tokens for reply in got),
        "seconds_a_reply": seconds / len(got),
        "replies": [asdict(reply) | each.as_json() for reply, each in zip(got, scores, strict=True)],
    }


def _share(values: Sequence[bool | None], topics: Sequence[str | None]) -> Share | None:
    """Hits of n with their interval, without unknown values; None where all are unknown."""
    known = [(bool(value), topic) for value, topic in zip(values, topics, strict=True) if value is not None]
    hits = [value for value, _ in known]
    found = share(hits)
    if found is None or found.hits in (0, found.n):
        return found
    clustered = interval(hits, [topic for _, topic in known])
    return replace(found, interval_95=clustered or found.interval_95)


def interval(values: Sequence[float], topics: Sequence[str | None]) -> tuple[float, float] | None:
    """95 % interval of the mean: resamples whole topics, since messages of a topic are similar."""
    groups: dict[Any, list[float]] = {}
    for at, (value, topic) in enumerate(zip(values, topics, strict=True)):
        groups.setdefault(at if topic is None else topic, []).append(float(value))
    return bootstrap([fmean(each) for each in groups.values()], [len(each) for each in groups.values()])


def differences(found: Sequence[Mapping[str, Any]], topics: Sequence[str | None]) -> list[dict[str, Any]]:
    """Each tuned model against every system before it: paired differences of the measures COMPARED."""
    pairs = [(system, other) for at, system in enumerate(found) if system["tuned"] for other in found[:at]]
    rows = []
    for (system, other), name in product(pairs, COMPARED):
        known = [
            (float(mine[name]) - float(theirs[name]), topic)
            for mine, theirs, topic in zip(system["replies"], other["replies"], topics, strict=True)
            if mine[name] is not None and theirs[name] is not None
        ]
        if known:
            changes = [change for change, _ in known]
            rows.append(
                {
                    "system": system["name"],
                    "over": other["name"],
                    "measure": name,
                    "difference": fmean(changes),
                    "interval_95": interval(changes, [topic for _, topic in known]),
                    "n": len(known),
                }
            )
    return rows


def output_folder(out: Path | None) -> Path:
    """The folder for `write`: `out`, or one in the reports folder. Call it before any work.

    Raises:
        UserError: the folder can't be written.
    """
    folder = out or picture_path("step4_finetune", "evaluate", None).parent / "evaluate"
    return ensure_writable(folder / "evaluate.json").parent


def write(facts: Mapping[str, Any], folder: Path) -> None:
    """Write evaluate.json and replies.csv into a folder.

    Raises:
        UserError: the folder can't be written.
    """
    try:
        whole = json.dumps(to_json(facts), ensure_ascii=False, indent=1)
        (folder / "evaluate.json").write_text(whole, encoding="utf-8")
        with (folder / "replies.csv").open("w", encoding="utf-8", newline="") as file:
            writer, judged = csv.writer(file), ["adherence", *SHARES]
            writer.writerow(["id", "system", *judged, "reply"])
            for system in facts["systems"]:
                for message, reply in zip(facts["messages"], system["replies"], strict=True):
                    values = [*(reply[name] for name in judged), reply["text"]]
                    writer.writerow([message["id"], system["name"], *values])
    except OSError as error:
        raise UserError(f"{folder} cannot be written: {error.strerror}") from None
