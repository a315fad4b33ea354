"""The command `answers`: does a reply say what the results say?"""

from pathlib import Path

from shared.cli import Console
from shared.config import Settings
from shared.stats import percent
from step2_tools.cli.setup import connect, system_message
from step2_tools.evaluate import questions
from step2_tools.evaluate.answers import AnswersReport, check_answers
from step2_tools.tools import build


def check(settings: Settings, split: str, limit: int | None, save: Path | None) -> AnswersReport:
    """Check the replies to a split's questions, with the tools' sample data."""
    labelled = questions.read(split)
    tools = build(offline=True)
    system = system_message(settings)
    with connect(settings) as client:
        return check_answers(settings, client, tools, labelled, system, limit, save)


def show(report: AnswersReport, console: Console) -> None:
    """How often a reply was right, and how many replies the guard replaced."""
    console.print(f"before the guard  {percent(report.right)} of {report.n} replies say what the results say")
    console.print(f"the guard         replaced {report.replaced.hits} replies by the tools' own summaries")
    console.print(f"median            {report.seconds:.1f} s a question")
    for wrong in report.wrong[:5]:
        console.print(f"wrong    {wrong.question}\n         {wrong.answer}", style="dim", soft_wrap=True)
        console.print(f"because  {wrong.problems[0]}", style="dim", soft_wrap=True)
