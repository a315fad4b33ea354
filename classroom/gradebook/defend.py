"""A page for a five-minute talk: questions about a learner's own code, with the answers that it gave.

    page = defend(Path("ada.zip"), "step3", seed=7)
    print(page.to_markdown())

The submission is run in the sandbox on inputs drawn from the seed. One question for each exercise asks what
its function returns for such an input, another why one of its lines is there. A seed always gives the same
page.
"""

from __future__ import annotations

import ast
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from classroom.assignment.spec import Assignment, Task, stripped
from classroom.gradebook.feedback import fenced
from classroom.grading.grade import assignment_of, grade
from classroom.grading.runner import TestOutcome
from classroom.intake.harmless import harmless
from classroom.intake.take import take
from shared.errors import UserError

LONGEST = 160  # characters of a call or of what it gave


@dataclass(frozen=True)
class Question:
    """About one exercise. `answer` is what the submission gave; empty where a person has to judge."""

    exercise: str
    text: str
    code: str
    answer: str = ""


@dataclass(frozen=True)
class Page:
    """All questions to one learner."""

    learner: str
    title: str
    seed: int
    questions: tuple[Question, ...]

    def to_markdown(self) -> str:
        """The questions, then the answers, which begin on a page of their own when printed."""
        lines = [f"# Five minutes with {self.learner}: {self.title}", ""]
        for number, each in enumerate(self.questions, 1):
            lines += [f"**{number}. {each.exercise}.** {each.text}", "", fenced(each.code), ""]
        lines += ['<div style="page-break-before: always"></div>', "", "# Answers", ""]
        lines += [
            f"Given by the submission itself, seed {self.seed}; a wrong answer is what its code gives.",
            "",
        ]
        for number, each in enumerate(self.questions, 1):
            lines += [f"**{number}.**", "", fenced(each.answer or "for you to judge"), ""]
        return "\n".join(lines)


def defend(submission: Path, step: str, seed: int, isolation: str | None = None) -> Page:
    """Run the submission and ask about it.

    Raises:
        UserError: no such submission, step or isolation, or nothing was written that one could ask about.
    """
    assignment = assignment_of(step)
    intake = take(submission, assignment.files)
    outcomes: list[TestOutcome] = []
    grade(submission, step, seed, isolation=isolation, on_outcome=outcomes.append)
    draw = random.Random(f"{seed}:{intake.name}")
    questions = []
    for task in assignment.tasks:
        questions += _of_calls(task, outcomes, draw) + _of_lines(task, assignment, intake.files, draw)
    if not questions:
        raise UserError(f"{intake.name} has solved nothing that one could ask about")
    return Page(intake.name, assignment.title, seed, tuple(questions))


def _of_calls(task: Task, outcomes: Sequence[TestOutcome], draw: random.Random) -> list[Question]:
    calls = [call for outcome in outcomes if outcome.mark.id == task.id for call in outcome.calls]
    short = [call for call in calls if _is_short(call.call) and _is_short(call.got) and call.got != "nothing"]
    short = [call for call in short if "NotImplementedError" not in call.got and not call.got.startswith("<")]
    if not short:
        return []
    chosen = draw.choice(short)
    text = "What does your code give for this, and how does it come to that?"
    return [Question(f"{task.id} {task.exercise.title}", text, harmless(chosen.call), harmless(chosen.got))]


def _is_short(text: str) -> bool:
    return len(text) <= LONGEST and "…" not in text


def _of_lines(
    task: Task, assignment: Assignment, files: dict[str, bytes], draw: random.Random
) -> list[Question]:
    """Why is this line there? One that is not in the starter, of a function of the exercise."""
    found = []
    starter = stripped([assignment.step])
    for file in task.files:
        given = {line.strip() for line in starter[file].decode().splitlines()}
        text = files.get(file, b"").decode("utf-8", errors="replace")
        lines = text.splitlines()
        for first, last in _spans(text, task.functions):
            for number in range(first, last + 1):
                line = lines[number - 1].strip()
                if len(line) > 8 and line not in given and not line.startswith(("#", '"""')):
                    found.append((f"{file}:{number}", line))
    if not found:
        return []
    place, line = draw.choice(found)
    text = f"This is line {place}. What would change without it, and why did you write it so?"
    return [Question(f"{task.id} {task.exercise.title}", text, harmless(line, LONGEST))]


def _spans(source: str, functions: Sequence[str]) -> list[tuple[int, int]]:
    """First and last line of functions by their names; nothing of what is no Python."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    names = {name.rpartition(".")[2] for name in functions}
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    nodes = [node for node in ast.walk(tree) if isinstance(node, kinds) and node.name in names]
    return [(node.lineno + 1, node.end_lineno or node.lineno) for node in nodes]
