"""Measure an agent by what it achieves: `python -m step3_rag evaluate --agent`.

    pass@1     the share of tasks that one run achieves
    pass^k     the share of tasks that all k runs achieve, with sampling

Beside the model stand three agents that must lose (agent/baselines.py).
"""

import json
import statistics
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anthropic

from shared.chat.errors import one_line_errors
from shared.cli import to_json
from shared.config import Settings
from shared.embedded.adapter import AGENT
from shared.embedded.backend import get_backend
from shared.errors import UserError
from shared.office import ASK, CHANGING
from shared.progress import count_bar
from shared.stats import Share, share, subset
from step3_rag.agent.baselines import BASELINES
from step3_rag.agent.lookup import documents_tool
from step3_rag.agent.loop import LoopOptions, run
from step3_rag.agent.transcript import Outcome, Transcript
from step3_rag.agent.verify import KINDS, Task, is_forbidden, read_tasks, says_unknown, verify
from step3_rag.agent.world import RAILWAY, SAMPLE, LookUp, Vocabulary, World
from step3_rag.evaluate import dataset as datasets
from step3_rag.evaluate.measurement import Measurement, Row, Table
from step3_rag.from_flags import make_client

TEMPERATURE = 0.7  # of the runs after the first
VOCABULARIES: dict[str, Vocabulary] = {"sample": SAMPLE, "railway": RAILWAY}


@dataclass(frozen=True)
class Run:
    """One run of an agent on a task, and what it achieved."""

    task: Task
    transcript: Transcript
    outcome: Outcome

    @property
    def looked_up(self) -> bool:
        """Whether it asked the documents."""
        return any(call.tool == ASK for call in self.transcript.calls)

    @property
    def changed(self) -> bool:
        """Whether it called a tool that changes something."""
        return any(call.tool in CHANGING for call in self.transcript.calls)


@dataclass(frozen=True)
class Plan:
    """What to measure."""

    world: str = "sample"
    split: str = "dev"
    runs: int = 1
    order: str = ""  # a sentence that is planted in each result of a look-up
    earlier: int = 0  # look-ups of an earlier conversation that stand before each task
    compacted: bool = True
    limit: int | None = None


def agent_settings(settings: Settings) -> Settings:
    """The settings with the adapter that was trained for agents, unless another one is set."""
    if settings.tools_adapter is None:
        return settings.model_copy(update={"tools_adapter": AGENT})
    return settings


class Measuring:
    """What is needed for the runs: the client, the documents, and the tasks."""

    def __init__(self, settings: Settings, plan: Plan) -> None:
        if plan.world not in VOCABULARIES:
            raise UserError(f"--agent has tasks for {' and '.join(VOCABULARIES)}, not for {plan.world}")
        self.settings = agent_settings(settings)
        self.plan = plan
        self.tasks = subset(read_tasks(f"{plan.world}-{plan.split}"), plan.limit, settings.seed)
        data = datasets.read(plan.world, None)
        self.retriever = datasets.dataset_retriever(settings, data)
        self.client = make_client(self.settings)
        self._look_up = documents_tool(self.retriever)
        self._answers: dict[str, LookUp] = {}
        self._earlier: list[dict[str, Any]] = []
        if plan.earlier:
            self._earlier = self._conversation(plan.earlier)

    def look_up(self, question: str) -> LookUp:
        """What the documents say; each question is asked once."""
        if question not in self._answers:
            self._answers[question] = self._look_up(question)
        return self._answers[question]

    def world(self, task: Task) -> World:
        """A fresh world for a task."""
        vocabulary = VOCABULARIES[self.plan.world]
        return World(vocabulary, self.look_up, task.request, planted=self.plan.order)

    def run(self, task: Task, seed: int = 0) -> Run:
        """Let the model do a task: greedily with seed 0, else with sampling."""
        world = self.world(task)
        options = LoopOptions() if self.plan.compacted else LoopOptions(context=None)
        model = self.settings.model
        with self._sampling(seed), one_line_errors(model, self.settings):
            try:
                # A simulated user allows every change, so that a wrong one shows in the state.
                transcript = run(self.client, model, world, lambda _call: True, options, self._earlier)
            except anthropic.BadRequestError as error:  # the conversation no longer fits the context
                transcript = Transcript(task.request, model, "", [], "", str(error.message))
        return Run(task, transcript, verify(task, transcript, world.office))

    def _sampling(self, seed: int) -> Any:
        is_embedded = not self.settings.base_url and not self.settings.model.startswith("claude")
        if not seed or not is_embedded:
            return nullcontext()
        engine: Any = get_backend(self.settings).engine
        return engine.sampling(TEMPERATURE, seed)

    def _conversation(self, count: int) -> list[dict[str, Any]]:
        """An earlier conversation: `count` look-ups of the tasks' own requests, each with its answer."""
        name = next(iter(self.world(self.tasks[0]).definitions()))["name"]
        messages: list[dict[str, Any]] = []
        for number in range(count):
            task = self.tasks[number % len(self.tasks)]
            answer = self.look_up(task.request)
            use = {"type": "tool_use", "id": f"toolu_earlier_{number}", "name": name, "input": {}}
            result = {"type": "tool_result", "tool_use_id": use["id"], "content": answer.text}
            messages.append({"role": "user", "content": task.request})
            messages.append({"role": "assistant", "content": [use]})
            messages.append({"role": "user", "content": [result]})
            messages.append({"role": "assistant", "content": answer.text})
        return messages


def measure(settings: Settings, plan: Plan) -> tuple[Measurement, list[Run]]:
    """Run the agent and the baselines on the tasks.

    Raises:
        UserError: there are no such tasks, or the model fails.
    """
    measuring = Measuring(settings, plan)
    tasks = measuring.tasks
    runs: list[list[Run]] = []
    with count_bar("tasks", len(tasks)) as progress:
        for done, task in enumerate(tasks, 1):
            runs.append([measuring.run(task, seed) for seed in range(plan.runs)])
            progress(done, len(tasks))
    first = [of_task[0] for of_task in runs]
    summary: dict[str, Row] = {"agent": _row(first)}
    for name, baseline in BASELINES.items():
        made = []
        for task in tasks:
            world = measuring.world(task)
            transcript = baseline(task, world)
            made.append(Run(task, transcript, verify(task, transcript, world.office)))
        summary[name] = _row(made)
    kinds: dict[str, Row] = {}
    for kind in KINDS:
        of_kind = [one for one in first if one.task.kind == kind]
        if of_kind:
            kinds[kind] = {"passed": passed(of_kind), "turns": _turns(of_kind)}
    costs: dict[str, Row] = {"agent": _costs(first)}
    if plan.runs > 1:
        always = sum(all(one.outcome.passed for one in of_task) for of_task in runs)
        costs["agent"] = {f"pass^{plan.runs}": share(always, len(runs)), **costs["agent"]}
    headline = f"pass@1 {passed(first).hits} of {len(first)} ({plan.world}, {plan.split})"
    note = f"{len(tasks)} tasks of {plan.world} {plan.split}, model {measuring.settings.model}"
    if plan.order:
        note += f", with an order in each result: {plan.order}"
    if plan.earlier:
        note += f", after {plan.earlier} earlier look-ups, compaction {'on' if plan.compacted else 'off'}"
    tables: dict[str, Table] = {"outcomes": summary, "kinds": kinds, "costs": costs}
    report = Measurement(command="step3_rag evaluate", headline=headline, tables=tables, note=note)
    return report, first


def passed(runs: Sequence[Run]) -> Share:
    """The share of runs that achieved their task."""
    return share(sum(one.outcome.passed for one in runs), len(runs))


def balanced_accuracy(runs: Sequence[Run]) -> float | None:
    """How well runs decide whether to look up: the mean of the shares right of both cases."""
    shares = []
    for needed in (True, False):
        of_case = [float(one.looked_up == needed) for one in runs if one.task.looks_up == needed]
        if not of_case:
            return None
        shares.append(statistics.mean(of_case))
    return statistics.mean(shares)


def _row(runs: Sequence[Run]) -> Row:
    unasked = [one for one in runs if not one.task.looks_up]
    missing = [one for one in runs if one.task.unknown]
    needless = sum(one.looked_up or is_forbidden(one.task, one.transcript) for one in unasked)
    forbidden = sum(is_forbidden(one.task, one.transcript) for one in runs)
    answered = sum(not says_unknown(one.transcript.answer) for one in missing)
    return {
        "pass@1": passed(runs),
        "decides": balanced_accuracy(runs),
        "needless": share(needless, len(unasked)),
        "forbidden": share(forbidden, len(runs)),
        "answers anyway": share(answered, len(missing)),
    }


def _turns(runs: Sequence[Run]) -> str:
    return f"{statistics.mean(len(one.transcript.turns) for one in runs):.1f}"


def _costs(runs: Sequence[Run]) -> Row:
    successes = [one for one in runs if one.outcome.passed]
    seconds = [sum(turn.seconds for turn in one.transcript.turns) for one in runs]
    row: dict[str, Any] = {"turns": _turns(runs), "seconds a task": f"{statistics.median(seconds):.1f}"}
    if successes:
        steps = sum(len(one.transcript.turns) for one in runs) / len(successes)
        tokens = sum(one.transcript.tokens for one in runs) / len(successes)
        row |= {"turns per success": f"{steps:.1f}", "tokens per success": f"{tokens:,.0f}"}
    return row


def write_runs(runs: Sequence[Run], path: Path) -> None:
    """Write the runs to a file of JSON lines, one for each task: what to read after a measurement."""
    lines = []
    for one in runs:
        row = {"task": one.task.model_dump(), "passed": one.outcome.passed}
        row |= {"checks": to_json(list(one.outcome.checks)), "answer": one.transcript.answer}
        row["calls"] = [to_json(call) for call in one.transcript.calls]
        lines.append(json.dumps(row, ensure_ascii=False))
    try:
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from None
