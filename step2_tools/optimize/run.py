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
from dataclasses import dataclass
from importlib import util
from pathlib import Path

import anthropic

from shared import hardware, prompts
from shared.chat import errors as api_errors
from shared.cli import to_json
from shared.config import Settings
from shared.errors import UserError, reason
from shared.progress import spinner
from shared.prompts import Prompt
from shared.report import record as report_files
from shared.stats import percent, share, subset
from step2_tools.evaluate.ask import send_text
from step2_tools.evaluate.questions import Question, ToolDefinition
from step2_tools.evaluate.reply import calls_in
from step2_tools.evaluate.request import signature, written
from step2_tools.evaluate.run import BeforeAfter, Outcome, PairedDifference, compare, measure, share_of
from step2_tools.evaluate.scoring import score
from step2_tools.evaluate.styles import Style

MIN_QUESTIONS = 4  # to learn from
METRIC = "right_arguments"


@dataclass(frozen=True, kw_only=True)
class OptimizeReport:
    """What `optimize` found."""

    command: str = "step2_tools optimize"
    model: str
    seed: int
    style: str
    prompt: str  # id and version of the first prompt
    optimizer: str
    dev: BeforeAfter  # of the questions that chose the examples
    test: PairedDifference | None  # None: nothing better was found on dev
    saved: Path | None  # the file of the new version
    machine: str
    headline: str


def optimize_prompt(
    settings: Settings,
    client: anthropic.Anthropic,
    tools: Sequence[ToolDefinition],
    start: Style,
    dev: Sequence[Question],
    test: Sequence[Question],
    limit: int | None = None,
    *,
    out: Path | None = None,
    threads: int = 1,
) -> OptimizeReport:
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
    # DSPy, which is optional, reads the environment variables that `require_dspy` sets when it is imported
    from step2_tools.optimize.program import NAME, Program, search

    dev = subset(dev, limit, settings.seed)
    test = subset(test, limit, settings.seed)
    train, val = split(dev, settings.seed)
    if out:
        report_files.ensure_writable(out / "new")
    labels = {question.text: question.calls for question in dev}
    signatures = "\n".join(signature(tool) for tool in tools)
    errors: list[str] = []

    def complete(system: str, messages: list[dict[str, str]]) -> str:
        system = system.replace("{{tools}}", signatures)
        try:
            reply = send_text(client, settings.model, start, tools, system=system, messages=messages)
        except Exception as error:  # DSPy hides the message of this error
            errors.append(api_errors.explain(error, settings))
            raise
        return reply.text

    def is_right(question: str, reply: str) -> bool:
        return score(calls_in(reply), labels[question], tools).right_arguments

    def measure_on_test(prompt: Prompt) -> list[Outcome]:
        style = dataclasses.replace(start, prompt=prompt)
        return measure(client, settings.model, tools, style, test)

    outcomes = measure_on_test(start.prompt)
    train_examples = [(question.text, written(question)) for question in train]
    val_examples = [(question.text, written(question)) for question in val]
    try:
        program = Program(start.prompt.system, start.prompt.examples)
        with spinner("searching for examples"):
            result = search(program, train_examples, val_examples, complete, is_right, threads)
    except Exception as error:  # DSPy's error after a failed request
        raise UserError(f"the search failed: {errors[0] if errors else reason(error)}") from None
    name = f"{start.prompt.id} version {start.prompt.version}"
    right = share_of(outcomes, METRIC)
    headline = f"{name}: right arguments in {percent(right)} of {right.n} test questions"
    report = OptimizeReport(
        model=settings.model,
        seed=settings.seed,
        style=start.name,
        prompt=name,
        optimizer=NAME,
        dev=BeforeAfter(
            before=share(round(result.before * len(val)), len(val)),
            after=share(round(max(result.before, result.after) * len(val)), len(val)),
        ),
        test=None,
        saved=None,
        machine=hardware.describe(),
        headline=f"{headline}; nothing better was found on dev",
    )
    if result.after <= result.before:
        return report
    best = dataclasses.replace(start.prompt, examples=tuple(result.examples), meta={})
    pair = compare(outcomes, measure_on_test(best), METRIC)
    headline = f"{headline} before, {percent(pair.after)} after (p = {pair.p:.2g})"
    report = dataclasses.replace(report, test=pair, headline=headline)
    if not out:
        return report
    meta = {
        "note": "examples found by DSPy",
        "score": scores_of(report.dev, pair),
        "date": datetime.date.today().isoformat(),
        "optimizer": report.optimizer,
        "style": report.style,
        "model": report.model,
        "seed": report.seed,
    }
    saved = save(out, start.prompt, dataclasses.replace(best, meta=meta))
    return dataclasses.replace(report, saved=saved)


def require_dspy(settings: Settings) -> None:
    """Configure DSPy; call this before any import of it, since it reads environment variables at import.

    Raises:
        UserError: DSPy is not installed.
    """
    if util.find_spec("dspy") is None:
        raise UserError('dspy is not installed: pip install ".[dspy]"')
    os.environ["DSPY_CACHEDIR"] = str(settings.cache_dir / "dspy")
    os.environ["TQDM_DISABLE"] = "1"
    import dspy  # after the variables that it reads

    # A cache in memory only: within a search, no request is paid for twice.
    dspy.configure_cache(enable_disk_cache=False, enable_memory_cache=True)


def split(dev: Sequence[Question], seed: int) -> tuple[list[Question], list[Question]]:
    """A quarter of the questions for examples, the rest to evaluate them, so no question is its own example.

    Raises:
        UserError: there are too few questions.
    """
    if len(dev) < MIN_QUESTIONS:
        allowed = f"use --limit {MIN_QUESTIONS} or more"
        raise UserError(f"{len(dev)} questions are too few to learn from: {allowed}")
    shuffled = random.Random(seed).sample(list(dev), len(dev))
    quarter = len(dev) // 4
    return shuffled[:quarter], shuffled[quarter:]


def scores_of(dev: BeforeAfter, test: PairedDifference) -> dict[str, object]:
    """The scores in the front matter of the new version."""
    scores = {"metric": METRIC, "dev": dev.after, "p": test.p, "test": test.after, "test_before": test.before}
    return to_json(scores)


def save(folder: Path, old: Prompt, new: Prompt) -> Path:
    """Save the new version; the folder also gets the old version if it has none."""
    if not any(folder.glob(f"{old.id}.*.md")):
        (folder / f"{old.id}.{old.version}.md").write_text(str(old), encoding="utf-8")
    return prompts.save_new_version(folder, new)
