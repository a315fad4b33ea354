"""How often does the model call the right tools? Labelled questions, several ways of asking, 95 % intervals.

    $ python -m step2_tools evaluate
                n    valid calls  right tool  right arguments  needless calls  tokens in  out  seconds
    native     80  100% (95-100)  ...
    zero-shot  80    ...

Every style of asking (prompt_styles.py) gets the same questions, and the calls that come are judged
(scoring.py). A request that fails counts as a wrong answer and is reported; Ctrl-C keeps what was measured.
The text of answers is not judged.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from shared import hardware, prompts
from shared.chat import errors as api_errors
from shared.config import Settings
from shared.errors import UserError
from shared.stats import subset
from step2_tools.evaluate import prompt_styles, results
from step2_tools.evaluate.prompt_styles import Reply
from step2_tools.evaluate.results import Outcome
from step2_tools.evaluate.scoring import score

if TYPE_CHECKING:
    import anthropic

GIVE_UP = 5  # requests of a style that fail, with none before them that worked
Ask = Callable[[dict[str, Any]], Reply]
Progress = Callable[[str], None]


def run(
    settings: Settings,
    client: anthropic.Anthropic,
    tools: Sequence[dict[str, Any]],
    questions: Sequence[dict[str, Any]],
    names: Sequence[str] | None = None,
    limit: int | None = None,
    write_progress: Progress | None = None,
) -> dict[str, Any]:
    """Ask every question in every way and say how often the calls were right.

    Args:
        tools: the definitions of the assistant's tools.
        questions: labelled, as `questions.read` gives them.
        names: the styles of asking (prompt_styles.py); the usual ones if None.
        limit: so many questions only, drawn with the seed of the settings.
        write_progress: called before each question.

    Raises:
        UserError: an unknown style, a limit below 1, or a backend that answers nothing.
        KeyboardInterrupt: Ctrl-C before anything was measured.
    """
    family = prompts.family_of(settings.model)
    styles = [prompt_styles.parse(name, family) for name in names or prompt_styles.DEFAULT]

    def ask(style: prompt_styles.Style, row: dict[str, Any]) -> Reply:
        return prompt_styles.ask(client, settings.model, style, row["question"], tools)

    rows = subset(questions, limit, settings.seed)
    asks = {style.name: partial(ask, style) for style in styles}
    facts = _facts(settings, *measure(settings, tools, asks, rows, write_progress))
    for style in styles:
        if style.name in facts["styles"]:
            used = f"{style.prompt.id} v{style.prompt.version}, sha256 {style.prompt.sha256[:12]}"
            facts["styles"][style.name]["prompt"] = used
    return facts


def measure(
    settings: Settings,
    tools: Sequence[dict[str, Any]],
    asks: dict[str, Ask],
    rows: Sequence[dict[str, Any]],
    write_progress: Progress | None,
) -> tuple[dict[str, list[Outcome]], bool]:
    """The outcomes of each style, and whether Ctrl-C ended it before all were there.

    A style whose first requests all fail (a backend that takes no schema) gets no more of them.

    Raises:
        UserError: this is so with the first style.
    """
    measured: dict[str, list[Outcome]] = {}
    try:
        for name, ask in asks.items():
            outcomes = measured[name] = []
            for number, row in enumerate(rows, 1):
                if write_progress:
                    write_progress(f"{name} {number}/{len(rows)}")
                outcomes.append(_outcome(settings, tools, row, ask))
                if number == min(GIVE_UP, len(rows)) and all(each.error for each in outcomes):
                    if len(measured) == 1:
                        raise UserError(f"the first {number} requests failed: {outcomes[-1].error}")
                    break
    except KeyboardInterrupt:
        measured = {name: outcomes for name, outcomes in measured.items() if outcomes}
        if not measured:
            raise
        return measured, True
    return measured, False


def _outcome(settings: Settings, tools: Sequence[dict[str, Any]], row: dict[str, Any], ask: Ask) -> Outcome:
    """Ask one question. A failed request is an answer that can't be read."""
    import anthropic
    import httpx2

    start = time.perf_counter()
    try:
        reply, error = ask(row), None
    except (anthropic.AnthropicError, httpx2.TransportError) as failure:
        reply, error = None, api_errors.explain(failure, settings)
    seconds = time.perf_counter() - start
    judged = score(reply.calls if reply else None, row["calls"], tools)
    return Outcome(row, reply, error, judged, seconds)


def _facts(settings: Settings, measured: dict[str, list[Outcome]], stopped: bool) -> dict[str, Any]:
    styles = {name: results.summary(outcomes) for name, outcomes in measured.items()}
    best = max(styles, key=lambda name: styles[name]["right_arguments"]["share"])
    right, n = results.percent(styles[best]["right_arguments"]), styles[best]["n"]
    return {
        "command": "step2_tools evaluate",
        "headline": f"calls right in {right} of {n} labelled questions ({best}, {settings.model})"
        + ("; stopped by Ctrl-C" if stopped else ""),
        "model": settings.model,
        "seed": settings.seed,
        "styles": styles,
        "by_kind": results.by_kind(measured.get("native", [])),
        "wrong": [
            {"style": name, "id": each.row["id"], "question": each.row["question"]}
            | {"expected": each.row["calls"], "error": each.error}
            | {"calls": each.reply and each.reply.calls, "text": each.reply and each.reply.text[:500]}
            for name, outcomes in measured.items()
            for each in outcomes
            if not each.score.right_arguments
        ],
        "stopped": stopped,
        "machine": hardware.describe(),
    }
