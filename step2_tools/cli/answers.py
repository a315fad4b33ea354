"""The command `answers`: are the numbers in an answer those of the tools?"""

from shared.cli import Console
from shared.config import Settings
from shared.stats import percent
from step2_tools.cli.setup import connect, system_message
from step2_tools.evaluate import questions
from step2_tools.evaluate.answers import AnswersReport, check_answers
from step2_tools.tools import build


def check(settings: Settings, split: str, limit: int | None) -> AnswersReport:
    """Check the answers to a split's questions, with the tools' sample data."""
    labelled = questions.read(split)
    tools = build(offline=True)
    system = system_message(settings)
    with connect(settings) as client:
        return check_answers(settings, client, tools, labelled, system, limit)


def show(report: AnswersReport, console: Console) -> None:
    """How often the numbers were right, and how many answers the guard replaced."""
    right = percent(report.right)
    console.print(f"before the guard  {right} of {report.n} answers: numbers, and only those of a tool")
    console.print(f"the guard         replaced {report.replaced.hits} answers by the tools' own summaries")
    console.print(f"median            {report.seconds:.1f} s a question")
    for wrong in report.wrong[:5]:
        console.print(f"wrong  {wrong.question}\n       {wrong.answer}", style="dim", soft_wrap=True)
