"""Can DSPy find better examples? It searches on the dev questions; the test questions evaluate the result.

    $ python -m step2_tools optimize --style "zero-shot +schema"
    right arguments          n       before        after
    ...

It optimizes the examples in the prompt json_calls, for a model that writes its calls as JSON. The best
examples on dev are saved as a new version with their scores, even if the test questions show no gain.
"""

import dataclasses
import datetime
import os
import random
from collections.abc import Sequence
from importlib import util
from pathlib import Path
from typing import Any

import anthropic

from shared import hardware, prompts
from shared.chat import errors as api_errors
from shared.cli import to_json
from shared.config import Settings
from shared.errors import UserError, reason
from shared.progress import spinner
from shared.prompts import Prompt
from shared.report import record as report
from shared.stats import percent, share, subset
from step2_tools.evaluate import prompt_styles
from step2_tools.evaluate import run as evaluate
from step2_tools.evaluate.prompt_styles import Style
from step2_tools.evaluate.scoring import score

MIN_QUESTIONS = 4  # to learn from
METRIC = "right_arguments"


def run(
    settings: Settings,
    client: anthropic.Anthropic,
    tools: Sequence[dict[str, Any]],
    start: Style,
    dev: Sequence[dict[str, Any]],
    test: Sequence[dict[str, Any]],
    limit: int | None = None,
    *,
    out: Path | None = None,
    threads: int = 1,
) -> dict[str, Any]:
    """Search on `dev`, compare the best prompt with the first one on `test`, and save it in `out` if given.

    Args:
        tools: the definitions of the assistant's tools.
        start: a style that asks for JSON, with the prompt to start from.
        limit: use only this many questions of each split, drawn with the settings' seed.

    Raises:
        UserError: DSPy is missing, there are too few questions, or a request fails.
    """
    if start.native:
        raise UserError(f"style {start.name!r} has no examples to optimize: use zero-shot or few-shot")
    require_dspy(settings)
    from step2_tools.optimize.program import NAME, Program, search

    dev, test = (subset(rows, limit, settings.seed) for rows in (dev, test))
    train, val = split(dev, settings.seed)
    if out:
        report.ensure_writable(out / "new")
    labels = {row["question"]: row["calls"] for row in dev}
    signatures = "\n".join(map(prompt_styles.signature, tools))
    errors: list[str] = []

    def complete(system: str, messages: list[dict[str, str]]) -> str:
        request = {"system": system.replace("{{tools}}", signatures), "messages": messages}
        try:
            return prompt_styles.send_text(client, settings.model, start, tools, **request).text
        except Exception as error:  # DSPy hides the message of this error
            errors.append(api_errors.explain(error, settings))
            raise

    def is_right(question: str, reply: str) -> bool:
        return score(prompt_styles.calls_in(reply), labels[question], tools).right_arguments

    def measure(prompt: Prompt) -> list[evaluate.Outcome]:
        style = dataclasses.replace(start, prompt=prompt)
        return evaluate.measure(client, settings.model, tools, style, test)

    before = measure(start.prompt)
    train_rows, val_rows = (
        [(row["question"], prompt_styles.written(row)) for row in part] for part in (train, val)
    )
    try:
        program = Program(start.prompt.system, start.prompt.examples)
        with spinner("searching for examples"):
            first, best, examples = search(program, train_rows, val_rows, complete, is_right, threads)
    except Exception as error:  # DSPy's error after a failed request
        raise UserError(f"the search failed: {errors[0] if errors else reason(error)}") from None
    facts: dict[str, Any] = {
        "command": "step2_tools optimize",
        "model": settings.model,
        "seed": settings.seed,
        "style": start.name,
        "prompt": f"{start.prompt.id} version {start.prompt.version}",
        "optimizer": NAME,
        "dev": {
            "before": share(round(first * len(val)), len(val)),
            "after": share(round(max(first, best) * len(val)), len(val)),
        },
        "test": None,
        "saved": None,
        "machine": hardware.describe(),
    }
    old = evaluate.share_of(before, METRIC)
    headline = f"{facts['prompt']}: right arguments in {percent(old)} of {old['n']} test questions"
    if best <= first:
        return facts | {"headline": f"{headline}; nothing better was found on dev"}
    prompt = dataclasses.replace(start.prompt, examples=tuple(examples), meta={})
    pair = facts["test"] = evaluate.compare(before, measure(prompt), METRIC)
    facts["headline"] = f"{headline} before, {percent(pair['after'])} after (p = {pair['p']:.2g})"
    if out:
        facts["saved"] = str(save(out, start.prompt, prompt, facts))
    return facts


def require_dspy(settings: Settings) -> None:
    """Configure DSPy; call this before any import of it, since it reads environment variables at import.

    Raises:
        UserError: DSPy is not installed.
    """
    if util.find_spec("dspy") is None:
        raise UserError('dspy is not installed: pip install ".[dspy]"')
    os.environ["DSPY_CACHEDIR"] = str(settings.cache_dir / "dspy")
    os.environ["TQDM_DISABLE"] = "1"
    import dspy

    # A cache in memory only: within a search, no request is paid for twice.
    dspy.configure_cache(enable_disk_cache=False, enable_memory_cache=True)


def split(dev: Sequence[dict[str, Any]], seed: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """A quarter of the questions for examples, the rest to evaluate them, so no question is its own example.

    Raises:
        UserError: there are too few questions.
    """
    if len(dev) < MIN_QUESTIONS:
        allowed = f"use --limit {MIN_QUESTIONS} or more"
        raise UserError(f"{len(dev)} questions are too few to learn from: {allowed}")
    shuffled = random.Random(seed).sample(list(dev), len(dev))
    return shuffled[: len(dev) // 4], shuffled[len(dev) // 4 :]


def save(folder: Path, old: Prompt, new: Prompt, facts: dict[str, Any]) -> Path:
    """Save the new version with its scores; the folder also gets the old version if it has none."""
    if not any(folder.glob(f"{old.id}.*.md")):
        (folder / f"{old.id}.{old.version}.md").write_text(str(old), encoding="utf-8")
    test = facts["test"]
    score = {"metric": METRIC, "dev": facts["dev"]["after"], "p": test["p"]}
    score |= {"test": test["after"], "test_before": test["before"]}
    meta = {
        "note": "examples found by DSPy",
        "score": to_json(score),
        "date": datetime.date.today().isoformat(),
    }
    meta |= {name: facts[name] for name in ("optimizer", "style", "model", "seed")}
    return prompts.save_new_version(folder, dataclasses.replace(new, meta=meta))
