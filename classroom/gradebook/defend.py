"""A page for a five-minute talk: questions about a learner's own code, with the answers that it gave.

    page = defend(Path("ada.zip"), "step3", seed=7)
    print(page.to_markdown())

The submission is run in the sandbox on inputs drawn from the seed. One question for each exercise asks what
its function returns for such an input, another why one of its lines is there. A seed always gives the same
page.
"""

import ast
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from classroom.assignment.rubric import Exercise
from classroom.assignment.spec import stripped
from classroom.gradebook.feedback import fenced
from classroom.grading.calls import LONGEST
from classroom.grading.grade import assignment_of, grade
from classroom.grading.runner import TestOutcome
from classroom.intake.harmless import harmless
from classroom.intake.take import take
from shared.errors import UserError


@dataclass(frozen=True)
class Question:
    """A question about one exercise. `answer` is the submission's; empty where a person has to judge."""

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
        lines += [f"The submission itself gave them, with seed {self.seed}; they may be wrong.", ""]
        for number, each in enumerate(self.questions, 1):
            lines += [f"**{number}.**", "", fenced(each.answer or "for you to judge"), ""]
        return "\n".join(lines)


def defend(submission: Path, step: str, seed: int, isolation: str | None = None) -> Page:
    """Run the submission and ask about it.

    Raises:
        UserError: no such submission, step or isolation, or it has written nothing to ask about.
    """
    assignment = assignment_of(step)
    intake = take(submission, assignment.files)
    outcomes: list[TestOutcome] = []
    grade(submission, step, seed, isolation=isolation, on_outcome=outcomes.append)
    starter = stripped([assignment.step])
    draw = random.Random(f"{seed}:{intake.name}")
    questions = []
    for exercise in assignment.exercises:
        name = f"{exercise.id} {exercise.title}"
        calls = [call for each in outcomes if each.mark.id == exercise.id for call in each.calls]
        if told := [call for call in calls if call.is_whole and "NotImplementedError" not in call.got]:
            chosen = draw.choice(told)
            text = "What does your code give for this, and how does it come to that?"
            questions.append(Question(name, text, harmless(chosen.call), harmless(chosen.got)))
        if written := _own_lines(exercise, starter, intake.files):
            place, line = draw.choice(written)
            text = f"This is line {place}. What would change without it, and why did you write it so?"
            questions.append(Question(name, text, harmless(line, LONGEST)))
    if not questions:
        raise UserError(f"{intake.name} has solved nothing to ask about")
    return Page(intake.name, assignment.title, seed, tuple(questions))


def _own_lines(
    exercise: Exercise, starter: dict[str, bytes], files: dict[str, bytes]
) -> list[tuple[str, str]]:
    """The lines of an exercise's functions that are not in the starter, with their places."""
    found = []
    for file in exercise.files:
        given = {line.strip() for line in starter[file].decode().splitlines()}
        text = files.get(file, b"").decode("utf-8", errors="replace")
        lines = text.splitlines()
        for first, last in _spans(text, exercise.functions):
            for number, line in enumerate(map(str.strip, lines[first - 1 : last]), first):
                if len(line) > 8 and line not in given and not line.startswith(("#", '"""')):
                    found.append((f"{file}:{number}", line))
    return found


def _spans(source: str, functions: Sequence[str]) -> list[tuple[int, int]]:
    """First and last line of the bodies of functions by their names; none if the source is not Python."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    names = {name.rpartition(".")[2] for name in functions}
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    nodes = [node for node in ast.walk(tree) if isinstance(node, kinds) and node.name in names]
    return [(node.lineno + 1, node.end_lineno or node.lineno) for node in nodes]
