"""`agent`: the chat model works on a request with tools, and looks up what it needs."""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import anthropic

from shared.chat.errors import one_line_errors
from shared.cli import Console
from shared.config import Settings
from shared.office import Draft, Ticket
from step3_rag.agent import page, spans
from step3_rag.agent.lookup import documents_tool
from step3_rag.agent.loop import run
from step3_rag.agent.transcript import Call, Transcript
from step3_rag.agent.world import SAMPLE, World
from step3_rag.cli.printing import say
from step3_rag.retrieve.search import Retriever


@dataclass(frozen=True)
class AgentReport:
    """What the agent did, its answer, and the state of the office afterwards."""

    command: str
    headline: str
    request: str
    model: str
    answer: str
    stop_reason: str
    calls: list[Call]
    tickets: list[Ticket]
    drafts: list[Draft]
    tokens: int
    seconds: float


def work(
    retriever: Retriever,
    request: str,
    settings: Settings,
    client: anthropic.Anthropic,
    approve: Callable[[Call], bool],
) -> tuple[AgentReport, Transcript]:
    """Let the chat model work on a request.

    Raises:
        UserError: the chat model fails.
    """
    world = World(SAMPLE, documents_tool(retriever), request)
    began = time.perf_counter()
    with one_line_errors(settings.model, settings):
        transcript = run(client, settings.model, world, approve)
    report = AgentReport(
        command="step3_rag agent",
        headline=transcript.answer or f"no answer ({transcript.stop_reason})",
        request=request,
        model=settings.model,
        answer=transcript.answer,
        stop_reason=transcript.stop_reason,
        calls=transcript.calls,
        tickets=world.office.tickets,
        drafts=world.office.drafts,
        tokens=transcript.tokens,
        seconds=round(time.perf_counter() - began, 1),
    )
    return report, transcript


def ask_user(call: Call) -> bool:
    """Ask on the terminal whether a change is allowed; without a terminal it is not."""
    if not sys.stdin.isatty():
        print(f"{call.tool} needs your approval: run it with --yes, or in a terminal", file=sys.stderr)
        return False
    print(f"{call.tool} {_arguments(call)}", file=sys.stderr)
    print("Allow this? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def allow(_call: Call) -> bool:
    """Allow every change."""
    return True


def _arguments(call: Call) -> str:
    return json.dumps(call.arguments, ensure_ascii=False)


def show(report: AgentReport, console: Console) -> None:
    """Print the calls with their results, and the answer."""
    for call in report.calls:
        say(console, f"{call.tool} {_arguments(call)}", "cyan")
        say(console, f"    {call.result}", "red" if call.is_error else "dim")
    if not report.calls:
        say(console, "no tool was called: the answer is the model's own", "yellow")
    console.print()
    say(console, report.answer or f"no answer: {report.stop_reason}")


def write_page(path: Path, transcript: Transcript) -> None:
    """Write the run as a page.

    Raises:
        UserError: the file can't be written.
    """
    page.write_page(path, transcript, None)


def send_spans(address: str, transcript: Transcript) -> None:
    """Send the run to a collector.

    Raises:
        UserError: the collector can't be reached, or OpenTelemetry is missing.
    """
    spans.export(transcript, address)
