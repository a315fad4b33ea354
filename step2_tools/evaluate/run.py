"""How often does the model call the right tools? Labelled questions, several ways of asking, 95 % intervals.

    $ python -m step2_tools evaluate
                n    valid calls  right tool  right arguments  needless calls  turns  tokens in  out  seconds
    native     80  100% (95-100)  ...
    zero-shot  80    ...
    $ python -m step2_tools evaluate --bfcl BFCL_v4_multiple.json

Every style of asking (prompt_styles.py) gets the same questions, and the calls that come are judged
(scoring.py, bfcl.py). A request that fails counts as a wrong answer and is reported; Ctrl-C keeps what was
measured. The text of answers is not judged.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared import hardware, prompts
from shared.chat import errors as api_errors
from shared.config import Settings
from shared.errors import UserError
from step2_tools.agent.tool import FunctionTool
from step2_tools.evaluate import bfcl, prompt_styles, results, scoring
from step2_tools.evaluate.prompt_styles import Reply
from step2_tools.evaluate.results import Outcome

if TYPE_CHECKING:
    import anthropic

GIVE_UP = 5  # requests that fail, with none before them that worked
Progress = Callable[[str], None]


def run(
    settings: Settings,
    client: anthropic.Anthropic,
    tools: Sequence[FunctionTool],
    questions: Sequence[dict[str, Any]],
    names: Sequence[str] | None = None,
    limit: int | None = None,
    write_progress: Progress | None = None,
) -> dict[str, Any]:
    """Ask every question in every way and say how often the calls were right.

    Args:
        tools: the assistant's; only `native loop` calls them.
        questions: labelled, as `questions.read` gives them.
        names: the styles of asking (prompt_styles.py); the usual ones if None.
        limit: so many questions only, drawn with the seed of the settings.
        write_progress: called before each question.

    Raises:
        UserError: an unknown style or tool, a limit below 1, or a backend that answers nothing.
        KeyboardInterrupt: Ctrl-C before anything was measured.
    """
    family = prompts.family_of(settings.model)
    ways = [prompt_styles.parse(name, family) for name in names or prompt_styles.DEFAULT]
    definitions: list[dict[str, Any]] = [{**tool.to_dict()} for tool in tools]
    _refuse_unknown_tools(questions, definitions)

    def ask(way: prompt_styles.Style, row: dict[str, Any]) -> Reply:
        return prompt_styles.ask(client, settings.model, way, row["question"], tools)

    def judge(row: dict[str, Any], calls: Any) -> scoring.Score:
        return scoring.score(calls, row["calls"], definitions)

    asks = {way.name: partial(ask, way) for way in ways}
    measured, ended = measure(settings, asks, draw(questions, limit, settings.seed), judge, write_progress)
    facts = _facts(settings, measured, ended, "labelled questions")
    for way in ways:
        if way.name in measured:
            used = f"{way.prompt.id} v{way.prompt.version}, sha256 {way.prompt.sha256[:12]}"
            facts["styles"][way.name]["prompt"] = used
    facts["by_kind"] = results.by_kind(measured["native"]) if "native" in measured else {}
    facts["wrong"] = [
        {"style": name, "id": each.item["id"], "question": each.item["question"]}
        | {"expected": each.item["calls"], **_reply(each)}
        for name, outcomes in measured.items()
        for each in outcomes
        if not each.score.right_arguments
    ]
    return facts


def run_bfcl(
    settings: Settings,
    client: anthropic.Anthropic,
    file: Path,
    answers: Path | None = None,
    limit: int | None = None,
    write_progress: Progress | None = None,
) -> dict[str, Any]:
    """The same for a file of Berkeley's: native tool calling, with no system message but the file's own.

    Raises:
        UserError: a file that can't be scored, a limit below 1, or a backend that answers nothing.
        KeyboardInterrupt: Ctrl-C before anything was measured.
    """
    cases = draw(bfcl.read(file, answers), limit, settings.seed)

    def ask(case: bfcl.Case) -> Reply:
        system = {"system": case.system} if case.system else {}
        return prompt_styles.send(client, settings.model, messages=case.messages, tools=case.tools, **system)

    def judge(case: bfcl.Case, calls: Any) -> scoring.Score:
        return scoring.score(calls, case.calls, case.tools)

    measured, ended = measure(settings, {"native": ask}, cases, judge, write_progress)
    facts = _facts(settings, measured, ended, file.stem)
    facts["wrong"] = [
        {"style": "native", "id": each.item.id, "question": each.item.messages[-1]["content"]}
        | {"expected": each.item.calls, **_reply(each)}
        for each in measured["native"]
        if not each.score.right_arguments
    ]
    return facts


def draw(items: Sequence[Any], limit: int | None, seed: int) -> list[Any]:
    """All items, or `limit` of them at random, in the order that they had.

    Raises:
        UserError: a limit below 1.
    """
    if limit is None:
        return list(items)
    if limit < 1:
        raise UserError(f"--limit {limit} is not allowed: use 1 or more")
    places = random.Random(seed).sample(range(len(items)), min(limit, len(items)))
    return [items[place] for place in sorted(places)]


def measure(
    settings: Settings,
    asks: dict[str, Callable[[Any], Reply]],
    items: Sequence[Any],
    judge: Callable[[Any, Any], scoring.Score],
    write_progress: Progress | None,
) -> tuple[dict[str, list[Outcome]], dict[str, Any]]:
    """The outcomes of each style, and how it ended: {"stopped": by Ctrl-C?, "refused": {style: why}}.

    A style whose first requests all fail (a backend that takes no schema) is given up, the first one
    with the whole run.
    """
    measured: dict[str, list[Outcome]] = {}
    ended: dict[str, Any] = {"stopped": False, "refused": {}}
    try:
        for name, ask in asks.items():
            outcomes = measured[name] = []
            for number, item in enumerate(items, 1):
                if write_progress:
                    write_progress(f"{name} {number}/{len(items)}")
                outcomes.append(_outcome(settings, item, ask, judge))
                if number == min(GIVE_UP, len(items)) and all(each.error for each in outcomes):
                    del measured[name]
                    if not measured:
                        raise UserError(f"the first {number} requests failed: {outcomes[-1].error}")
                    ended["refused"][name] = outcomes[-1].error
                    break
    except KeyboardInterrupt:
        ended["stopped"] = True
    measured = {name: outcomes for name, outcomes in measured.items() if outcomes}
    if not measured:
        raise KeyboardInterrupt
    return measured, ended


def _outcome(
    settings: Settings, item: Any, ask: Callable[[Any], Reply], judge: Callable[[Any, Any], scoring.Score]
) -> Outcome:
    """Ask one question. A failed request is an answer that can't be read."""
    import anthropic
    import httpx2

    start = time.perf_counter()
    try:
        reply, error = ask(item), None
    except (anthropic.AnthropicError, httpx2.TransportError) as failure:
        reply, error = None, api_errors.explain(failure, settings)
    seconds = time.perf_counter() - start
    return Outcome(item, reply, error, judge(item, reply.calls if reply else None), seconds)


def _refuse_unknown_tools(questions: Sequence[dict[str, Any]], definitions: Sequence[dict[str, Any]]) -> None:
    known = {tool["name"] for tool in definitions}
    for row in questions:
        for call in row["calls"]:
            if call["name"] not in known:
                raise UserError(
                    f"question {row['id']} expects the tool {call['name']!r}, which is not there: "
                    f"use {', '.join(sorted(known))}"
                )


def _facts(settings: Settings, measured: dict[str, Any], ended: dict[str, Any], what: str) -> dict[str, Any]:
    summaries = {name: results.summary(outcomes) for name, outcomes in measured.items()}
    best = max(summaries, key=lambda name: summaries[name]["right_arguments"]["share"])
    n = max(each["n"] for each in summaries.values())
    return {
        "command": "step2_tools evaluate",
        "headline": f"{what}: calls right in {results.percent(summaries[best]['right_arguments'])} of {n} "
        f"({best}, {settings.model})" + ("; stopped by Ctrl-C" if ended["stopped"] else ""),
        "model": settings.model,
        "seed": settings.seed,
        "data": what,
        "styles": summaries,
        **ended,
        "machine": hardware.describe(),
    }


def _reply(outcome: Outcome) -> dict[str, Any]:
    """What came instead of the right calls."""
    if outcome.reply is None:
        return {"error": outcome.error}
    return {"calls": outcome.reply.calls, "text": outcome.reply.text[:500]}
