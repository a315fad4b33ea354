"""`agent`: the chat model's answer, and what it looked up for it."""

import json
import time
from dataclasses import dataclass

import anthropic

from shared.chat.errors import one_line_errors
from shared.cli import Console
from shared.config import Settings
from step3_rag.answer import agent
from step3_rag.cli.answer import AnswerReport, describe_answer, show_answer
from step3_rag.cli.printing import say
from step3_rag.retrieve.search import Retriever


@dataclass(frozen=True, kw_only=True)
class AgentReport(AnswerReport):
    """The agent's answer and its calls."""

    model: str
    calls: list[agent.Call]


def answer_with_tool(
    retriever: Retriever, question: str, settings: Settings, client: anthropic.Anthropic
) -> AgentReport:
    """Let the chat model search as often as it likes, and answer.

    Raises:
        UserError: the chat model fails.
    """
    began = time.perf_counter()
    with one_line_errors(settings.model, settings):
        answer, sources, calls = agent.run(client, settings.model, retriever, question)
    seconds = {"answer": time.perf_counter() - began}
    report = describe_answer("step3_rag agent", question, answer, sources, seconds, searches=len(calls))
    return AgentReport(**vars(report), model=settings.model, calls=calls)


def show(report: AgentReport, console: Console) -> None:
    """Print the agent's searches and its answer."""
    for call in report.calls:
        say(console, f"{call.tool} {json.dumps(call.input, ensure_ascii=False)}", "cyan")
        if call.is_error:
            say(console, f"    {call.result}", "red")
        else:
            result = json.loads(call.result)
            sources = result["sources"].count("</source>")
            say(console, f"    {sources} sources, confidence {result['confidence']:.2f}", "dim")
    if not report.calls:
        say(console, "nothing was looked up: the answer is the model's own", "yellow")
    console.print()
    show_answer(report, console)
