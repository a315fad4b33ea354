"""`ask`: an answer from the pipeline, from a framework's pipeline, or from the graph of the index."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from shared.chat.errors import explain, one_line_errors
from shared.cli import Console
from shared.config import Settings
from step3_rag.answer.read import Answer
from step3_rag.cli.answer import AnswerReport, describe_answer, show_answer, show_sources
from step3_rag.cli.printing import say
from step3_rag.frameworks import parts
from step3_rag.graph.questions import answer_from_graph
from step3_rag.ingest.text import clean
from step3_rag.pipeline import ChatError, Plan, ask
from step3_rag.retrieve.search import Retriever

if TYPE_CHECKING:
    import anthropic

COMMAND = "step3_rag ask"


@dataclass(frozen=True, kw_only=True)
class FrameworkReport(AnswerReport):
    """The answer of a framework's pipeline."""

    framework: str
    model: str | None  # None: the answer is a quote


@dataclass(frozen=True, kw_only=True)
class PipelineReport(AnswerReport):
    """The answer of our pipeline."""

    reader: str
    model: str | None  # None: no chat model was used
    threshold: float


@dataclass(frozen=True, kw_only=True)
class ChatErrorReport(PipelineReport):
    """What was found, though the chat model failed."""

    error: str


def answer_from_relations(retriever: Retriever, question: str) -> AnswerReport:
    """Answer from the graph of the index, without a search.

    Raises:
        UserError: the graph has no answer to such a question.
    """
    began = time.perf_counter()
    answer, sources = answer_from_graph(retriever.index, question)
    seconds = {"answer": time.perf_counter() - began}
    return describe_answer(COMMAND, question, answer, sources, seconds, searches=0)


def answer_with_framework(
    framework: str,
    retriever: Retriever,
    question: str,
    k: int,
    settings: Settings,
    client: anthropic.Anthropic | None,
) -> FrameworkReport:
    """Answer by a framework's pipeline; without a client, by a quote.

    Raises:
        UserError: the framework is not installed, or the chat model fails.
    """
    began = time.perf_counter()
    with one_line_errors(settings.model, settings):
        answer, sources = parts.answer_with(framework, retriever, question, client, settings.model, k)
    seconds = {"answer": time.perf_counter() - began}
    report = describe_answer(COMMAND, question, answer, sources, seconds)
    return FrameworkReport(**vars(report), framework=framework, model=settings.model if client else None)


def answer_by_plan(
    plan: Plan,
    retriever: Retriever,
    question: str,
    settings: Settings,
    client: anthropic.Anthropic | None,
    write: Callable[[str], None],
) -> PipelineReport:
    """Answer by our pipeline; `write` gets the answer's text as it is written."""
    model = settings.model if client else None
    try:
        outcome = ask(retriever, question, plan, client, settings.model, write)
    except ChatError as error:
        why = f"{settings.model}: {explain(error.cause, settings)}"
        report = describe_answer(
            COMMAND, question, Answer(""), error.sources, {}, reflection=error.reflection
        )
        report = replace(report, headline=f"no answer: {why}"[:160], answer=None)
        return ChatErrorReport(
            **vars(report), reader=plan.reader, model=model, threshold=plan.threshold, error=why
        )
    report = describe_answer(
        COMMAND,
        question,
        outcome.answer,
        outcome.sources,
        outcome.seconds,
        reflection=outcome.reflection,
    )
    return PipelineReport(**vars(report), reader=plan.reader, model=model, threshold=plan.threshold)


def print_part(text: str) -> None:
    """Print a part of an answer as soon as it is written."""
    print(clean(text), end="", flush=True)


def print_nothing(_text: str) -> None:
    """The answer is printed when it is complete."""


def show(report: AnswerReport, console: Console, *, trace: bool, streamed: bool) -> None:
    """Print the answer; or what was found, if the chat model failed."""
    if isinstance(report, ChatErrorReport):
        say(console, f"No answer, but this was found. {report.error}", "red")
        show_sources(report.sources, console)
        return
    threshold = report.threshold if isinstance(report, PipelineReport) else None
    show_answer(report, console, trace=trace, streamed=streamed, threshold=threshold)
