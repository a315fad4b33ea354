"""How often does the model call the right tools? Labelled questions, several styles, 95 % intervals.

    $ python -m step2_tools evaluate
                n    valid calls  right tool  right arguments  needless calls  tokens in  out  seconds
    native     80  100% (95-100)  ...
    zero-shot  80    ...

Every style (prompt_styles.py) gets the same questions, and scoring.py scores the calls. The text of answers
is not scored.
"""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import anthropic

from shared import hardware, prompts
from shared.catalog import lookup
from shared.config import Settings
from shared.errors import UserError
from shared.progress import track
from shared.stats import Share, bootstrap, percent, share, sign_test, subset
from step2_tools.evaluate import prompt_styles
from step2_tools.evaluate.scoring import Score, score

SHARES = {
    "valid": "valid calls",
    "right_tool": "right tool",
    "right_arguments": "right arguments",
    "needless": "needless calls",
}


@dataclass(frozen=True)
class Outcome:
    """One question, asked in one style, and its score."""

    row: dict[str, Any]
    reply: prompt_styles.Reply
    score: Score
    seconds: float


def run(
    settings: Settings,
    client: anthropic.Anthropic,
    tools: Sequence[dict[str, Any]],
    questions: Sequence[dict[str, Any]],
    names: Sequence[str] | None = None,
    limit: int | None = None,
) -> dict[str, Any]:
    """Ask every question in every style, and measure how often the calls are right.

    Args:
        tools: the definitions of the assistant's tools, for questions without `tools` of their own.
        questions: labelled questions from `questions.read` or `bfcl.read`.
        names: the styles (prompt_styles.py); the default ones if None.
        limit: use only this many questions, drawn with the settings' seed.

    Raises:
        UserError: a style is unknown or not for this model, or the limit is below 1.
        anthropic.APIError, httpx2.TransportError: a request fails.
    """
    family = prompts.family_of(settings.model)
    styles = [prompt_styles.parse(name, family) for name in names or prompt_styles.DEFAULT]
    served = settings.base_url or lookup(settings.model).is_claude
    if served and not all(style.grammar for style in styles):
        raise UserError("style 'native -grammar' is for the embedded model: choose another style or model")
    rows = subset(questions, limit, settings.seed)
    measured, summaries = {}, {}
    for style in styles:
        measured[style.name] = measure(client, settings.model, tools, style, rows)
        prompt = f"{style.prompt.id} v{style.prompt.version}, sha256 {style.prompt.sha256[:12]}"
        summaries[style.name] = {**summary(measured[style.name]), "prompt": prompt}
    best = max(summaries, key=lambda name: summaries[name]["right_arguments"]["share"])
    right = percent(summaries[best]["right_arguments"])
    return {
        "command": "step2_tools evaluate",
        "headline": f"calls right in {right} of {len(rows)} labelled questions ({best}, {settings.model})",
        "model": settings.model,
        "seed": settings.seed,
        "styles": summaries,
        "by_kind": by_kind(measured.get("native", [])),
        "wrong": [
            {"style": name, "id": each.row["id"], "question": each.row["question"]}
            | {"expected": each.row["calls"], "calls": each.reply.calls, "text": each.reply.text[:500]}
            for name, outcomes in measured.items()
            for each in outcomes
            if not each.score.right_arguments
        ],
        "machine": hardware.describe(),
    }


def measure(
    client: anthropic.Anthropic,
    model: str,
    tools: Sequence[dict[str, Any]],
    style: prompt_styles.Style,
    rows: Sequence[dict[str, Any]],
) -> list[Outcome]:
    """Ask the questions in one style; the SDK's exceptions are not caught."""
    outcomes = []
    for row in track(f"style {style.name}", rows):
        offered = row.get("tools", tools)
        start = time.perf_counter()
        reply = prompt_styles.ask(client, model, style, row["question"], offered)
        seconds = time.perf_counter() - start
        outcomes.append(Outcome(row, reply, score(reply.calls, row["calls"], offered), seconds))
    return outcomes


def share_of(outcomes: Sequence[Outcome], metric: str) -> Share:
    """The share of outcomes with this score, such as `right_tool`."""
    return share(sum(getattr(each.score, metric) for each in outcomes), len(outcomes))


def summary(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """One style's figures: shares, mean tokens, median seconds."""
    return {
        "n": len(outcomes),
        **{name: share_of(outcomes, name) for name in SHARES},
        "input_tokens": round(statistics.mean(each.reply.input_tokens for each in outcomes), 1),
        "output_tokens": round(statistics.mean(each.reply.output_tokens for each in outcomes), 1),
        "seconds": round(statistics.median(each.seconds for each in outcomes), 3),
    }


def by_kind(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Right tool and right arguments for each kind of question."""
    kinds: dict[str, list[Outcome]] = {}
    for each in outcomes:
        kinds.setdefault(each.row["kind"], []).append(each)
    names = ("right_tool", "right_arguments")
    return {kind: {name: share_of(group, name) for name in names} for kind, group in kinds.items()}


def compare(before: Sequence[Outcome], after: Sequence[Outcome], metric: str) -> dict[str, Any]:
    """Shares before and after a change on the same questions, and a paired test of the difference.

    Styles whose intervals overlap may still differ significantly on the same questions. The interval of the
    difference is a bootstrap over questions; p is from McNemar's exact test.
    """
    changes = [
        float(getattr(b.score, metric)) - float(getattr(a.score, metric))
        for a, b in zip(before, after, strict=True)
    ]
    gained, lost = changes.count(1.0), changes.count(-1.0)
    interval = bootstrap(changes)
    return {
        "before": share_of(before, metric),
        "after": share_of(after, metric),
        "difference": round(statistics.mean(changes), 4),
        "interval_95": interval and [round(bound, 3) for bound in interval],
        "gained": gained,
        "lost": lost,
        "p": float(f"{sign_test(gained, lost):.2g}"),
    }
