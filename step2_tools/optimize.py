"""Can DSPy find a better prompt? It searches on the dev questions, and is judged on the test questions.

    $ python -m step2_tools optimize
    up to 2,500 calls of the model: 2,300 to search on 80 questions, 200 to compare on 100 others
    right tool               n       before        after
    ...

With Claude or a server: instruction and examples of the prompt json_calls. Embedded: the wording, weights and
demonstrations of the tool chooser. The best on dev is saved as a new version with its scores, whether or not
the test bears it out; nothing is saved when nothing was better. The search is DSPy's (tune_search.py).
"""

from __future__ import annotations

import dataclasses
import datetime
import os
from collections.abc import Sequence
from importlib import util
from pathlib import Path
from typing import Any, Protocol

from shared import hardware, prompts
from shared.catalog import lookup
from shared.chat import client as chat
from shared.chat import errors as api_errors
from shared.config import Settings
from shared.embedded import wording
from shared.errors import UserError
from shared.prompts import Prompt
from shared.report import record as report
from step2_tools import conditions, evaluate, figures, scoring, tune_plan, tune_report
from step2_tools.conditions import Reply
from step2_tools.evaluate import Progress
from step2_tools.figures import share
from step2_tools.tool import FunctionTool

BUDGET = 3000  # calls; what the standard searches take on our questions, and some more
show = tune_report.show


class Target(Protocol):
    """What is tuned: tune_json.JsonCalls, tune_chooser.ChooserWording."""

    start: Prompt
    metric: str  # right_tool or right_arguments
    optimizers: tuple[str, ...]
    threads: int
    proposer: Any  # writes instructions where the model can't

    def ask(self, prompt: Prompt, question: str) -> Reply: ...
    def complete(self, system: str, messages: list[dict[str, str]], max_tokens: int) -> str: ...
    def write(self, system: str, messages: list[dict[str, str]], max_tokens: int) -> str: ...
    def to_program(self, prompt: Prompt) -> tuple[str, list[tuple[str, str]]]: ...
    def to_prompt(self, instructions: str, demos: Sequence[tuple[str, str]]) -> Prompt: ...
    def written(self, row: dict[str, Any]) -> str: ...


def target(
    settings: Settings,
    tools: Sequence[FunctionTool],
    optimizer: str,
    version: int | None = None,
    timeout: float = 60.0,
    *,
    plain: bool = False,
) -> tuple[Target, Path]:
    """What these settings can tune, and the folder of its prompt; DSPy is looked for before any model.

    Args:
        version: of json_calls, to begin with. GEPA leaves the examples alone, so it gets some by default.
        plain: the tool chooser begins with the likelihood alone, as if nobody had tuned it by hand.

    Raises:
        UserError: as for a client or a model; DSPy is missing; an embedded model has no json_calls.
    """
    require_dspy(optimizer, settings)
    if settings.base_url or lookup(settings.model).is_claude:
        if plain:
            raise UserError("--plain is for the embedded tool chooser; json_calls has --prompt 1")
        from step2_tools.tune_json import JsonCalls

        version = version or (2 if optimizer == "gepa" else 1)
        start = prompts.load(conditions.PROMPTS, "json_calls", version)
        client = api_errors.with_timeouts(chat.chat_client(settings.model, settings), timeout)
        return JsonCalls(client, settings.model, tools, start), conditions.PROMPTS
    if version:
        raise UserError(
            "--prompt is for Claude or a server: the embedded chooser's is set by ROADMAP_CHOOSER"
        )
    from step2_tools.tune_chooser import ChooserWording

    if plain:
        settings = settings.model_copy(update={"chooser": wording.PROMPTS / "chooser_plain.1.md"})
    chooser = ChooserWording(settings, tools)
    return chooser, chooser.folder


def require_dspy(optimizer: str, settings: Settings) -> None:
    """Before anything imports DSPy: its folder and its progress bars are set by the environment.

    Raises:
        UserError: it, or what the optimiser needs, is not installed.
    """
    needed = ["dspy", "optuna"] if optimizer == "mipro" else ["dspy"]
    if missing := [name for name in needed if util.find_spec(name) is None]:
        raise UserError(f'{" and ".join(missing)} not installed: pip install ".[dspy]"')
    os.environ["DSPY_CACHEDIR"] = str(settings.cache_dir / "dspy")
    os.environ["TQDM_DISABLE"] = "1"
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # should anything import it: no download
    import dspy

    # In memory, anew each time: a reply that was paid for once is not asked for again within a search.
    dspy.configure_cache(enable_disk_cache=False, enable_memory_cache=True)


def run(
    settings: Settings,
    what: Target,
    tools: Sequence[FunctionTool],
    dev: Sequence[dict[str, Any]],
    test: Sequence[dict[str, Any]],
    optimizer: tune_plan.Optimizer = "gepa",
    budget: int = BUDGET,
    limit: int | None = None,
    write_progress: Progress | None = None,
    announce: Progress | None = None,
    *,
    out: Path | None = None,
) -> dict[str, Any]:
    """Search on `dev`, compare the best with the start on `test`, save it in the folder `out`, if given.

    Args:
        budget: calls of the model, those on `test` included.
        limit: so many questions of each split only, drawn with the seed of the settings.
        announce: is told once, before the first call, how many calls there may be.

    Raises:
        UserError: the prediction is above the budget, DSPy is missing, or the model answers nothing.
        KeyboardInterrupt: Ctrl-C before anything was measured.
    """
    if optimizer not in what.optimizers:
        raise UserError(
            f"--optimizer {optimizer} needs a model that writes: here, use {' or '.join(what.optimizers)}"
        )
    dev, test = (evaluate.draw(rows, limit, settings.seed) for rows in (dev, test))
    plan = tune_plan.make(optimizer, dev, len(test), settings.seed, embedded=what.proposer is not None)
    predicted = plan.predicted
    if predicted["all"] > budget:
        raise UserError(
            f"this takes up to {predicted['all']} calls of the model, more than the budget of {budget}: "
            "allow more with --budget, or ask fewer questions with --limit"
        )
    if out:
        report.writable(out / "new")
    definitions: list[dict[str, Any]] = [{**tool.to_dict()} for tool in tools]

    def judge(row: dict[str, Any], reply: str) -> tuple[bool, str]:
        score = scoring.score(calls := conditions.calls_in(reply), row["calls"], definitions)
        return getattr(score, what.metric), feedback(score, calls, what.written(row))

    def measure(name: str, prompt: Prompt) -> tuple[list[figures.Outcome], bool]:
        measured, ended = evaluate.measure(
            settings,
            {name: lambda row: what.ask(prompt, row["question"])},
            test,
            lambda row, calls: scoring.score(calls, row["calls"], definitions),
            write_progress,
        )
        return measured[name], ended["stopped"]

    if announce:
        announce(
            f"up to {predicted['all']:,} calls of the model: {predicted['start'] + predicted['search']:,} to "
            f"search on {len(dev)} questions, {predicted['held out']:,} to compare on {len(test)} others"
        )
    before, stopped = measure("test, before", what.start)
    if stopped:
        raise KeyboardInterrupt
    from step2_tools import tune_search

    meter = tune_search.Meter(budget - predicted["held out"], write_progress)
    seen, ended = tune_search.search(
        plan,
        what.to_program(what.start),
        what.complete,
        what.write,
        judge,
        what.written,
        meter,
        seed=settings.seed,
        threads=what.threads,
        proposer=what.proposer,
    )
    first, best = seen[0], max(seen, key=lambda candidate: candidate.hits)
    facts: dict[str, Any] = {
        "command": "step2_tools optimize",
        "model": settings.model,
        "seed": settings.seed,
        "optimizer": _name(optimizer),
        "metric": what.metric,
        "prompt": f"{what.start.id} version {what.start.version}",
        "calls": {"predicted": predicted, "budget": budget, "search": meter.made},
        "candidates": len({(candidate.instructions, candidate.demos) for candidate in seen}),
        "errors": dict(meter.errors),
        "ended": ended,
        "dev": {"before": share(first.hits, first.n), "after": share(best.hits, best.n)},
        "test": None,
        "saved": None,
        "machine": hardware.describe(),
    }
    if best.hits > first.hits:
        prompt = what.to_prompt(best.instructions, best.demos)
        try:
            after, _ = measure("test, after", prompt)
        except KeyboardInterrupt:
            after = []
        facts["test"] = tune_report.compare(before[: len(after)], after, what.metric) if after else None
        facts["diff"] = prompts.diff(what.start, prompt)
        if out:
            facts["saved"] = str(_save(out, what.start, prompt, facts))
    facts["headline"] = tune_report.headline(facts, before, what.metric)
    return facts


def feedback(score: scoring.Score, calls: Any, expected: str) -> str:
    """What was wrong, for GEPA's model or rule to read."""
    if calls is None:
        return f"The reply is no JSON list of calls. Expected: {expected}"
    if score.right_arguments:
        return "Right."
    what = "the arguments are wrong"
    if score.needless and score.missing:
        what = "another tool is asked for"
    elif score.needless:
        what = "too many calls"
    elif score.missing:
        what = "too few calls"
    return f"Wrong: {what}. Expected: {expected}"


def _save(folder: Path, old: Prompt, new: Prompt, facts: dict[str, Any]) -> Path:
    """The new version, in a folder that has the old one, too."""
    if not any(
        prompt.id == old.id for prompt in (prompts.read_all(folder) if any(folder.glob("*.md")) else [])
    ):
        (folder / f"{old.id}.{old.version}.md").write_text(str(old), encoding="utf-8")
    test = facts["test"]
    meta = {
        **new.meta,
        "note": f"found by {facts['optimizer']}",
        "score": {
            "metric": facts["metric"],
            "dev": facts["dev"]["after"],
            "test": test and test["after"][facts["metric"]],
            "test_before": test and test["before"][facts["metric"]],
            "p": test and test["p"],
        },
        "optimizer": facts["optimizer"],
        "model": facts["model"],
        "seed": facts["seed"],
        "date": datetime.date.today().isoformat(),
    }
    return prompts.save_new_version(folder, dataclasses.replace(new, meta=meta))


def _name(optimizer: str) -> str:
    import dspy

    names = {"gepa": "GEPA", "mipro": "MIPROv2", "shots": "BootstrapFewShotWithRandomSearch"}
    return f"{names[optimizer]} of DSPy {dspy.__version__}"
