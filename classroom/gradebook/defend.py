"""A page for a five-minute talk: questions about a learner's own code, with the answers that it gave.

    page = defend(Path("ada.zip"), "step3", seed=7)
    print(page.to_markdown())

The submission is run in the sandbox on inputs drawn from the seed. A question for each exercise asks what its
function returns for such an input, and one for each file why one of its lines is there. A seed always gives
the same page.
"""

import random
from dataclasses import dataclass
from pathlib import Path

from classroom.assignment.spec import stripped
from classroom.gradebook.feedback import escaped, fenced
from classroom.grading.calls import LONGEST
from classroom.grading.grade import assignment_of, grade
from classroom.grading.runner import TestOutcome
from classroom.intake.harmless import harmless
from classroom.intake.take import take
from shared.errors import UserError


@dataclass(frozen=True)
class Question:
    """A question. `answer` is the submission's; empty where a person has to judge."""

    about: str  # an exercise, or a file
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
        lines = [f"# Five minutes with {escaped(self.learner)}: {escaped(self.title)}", ""]
        for number, each in enumerate(self.questions, 1):
            lines += [f"**{number}. {each.about}.** {each.text}", "", fenced(each.code), ""]
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
    for each in assignment.exercises:
        calls = [call for outcome in outcomes if outcome.mark.id == each.id for call in outcome.calls]
        if told := [call for call in calls if call.is_whole and "NotImplementedError" not in call.got]:
            chosen = draw.choice(told)
            text = "What does your code give for this, and how does it come to that?"
            about = f"{each.id} {each.title}"
            questions.append(Question(about, text, harmless(chosen.call), harmless(chosen.got)))
    for file in assignment.files:
        if written := _own_lines(starter[file], intake.files.get(file, b"")):
            number, line = draw.choice(written)
            text = f"This is line {number}. What would change without it, and why did you write it so?"
            questions.append(Question(file, text, harmless(line, LONGEST)))
    if not questions:
        raise UserError(f"{intake.name} has solved nothing to ask about")
    return Page(intake.name, assignment.title, seed, tuple(questions))


def _own_lines(given: bytes, handed_in: bytes) -> list[tuple[int, str]]:
    """The lines of a file that are not in the starter's, with their numbers."""
    known = {line.strip() for line in given.decode().splitlines()}
    lines = [line.strip() for line in handed_in.decode("utf-8", errors="replace").splitlines()]
    return [
        (number, line)
        for number, line in enumerate(lines, 1)
        if len(line) > 8 and line not in known and not line.startswith(("#", '"""'))
    ]
