"""The assistant of `ask` and `chat`: collects client, tools and prompt, runs the loop, sums up the cost.

with assistant(settings, Options(offline=True)) as ready:
    report = ready.ask(ready.examples, "What is the weather in Bangkok?", screen.message)
report.answer      "In Bangkok, Thailand it is 31 °C now, ..."
"""

import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import anthropic
from anthropic.types import MessageParam

from shared import catalog, prompts
from shared.chat import errors as api_errors
from shared.chat.client import chat_client
from shared.cli import HIDDEN
from shared.config import Settings
from shared.errors import UserError
from step2_tools.agent import answer, loop
from step2_tools.agent.answer import Format, Guarded, JsonAnswer
from step2_tools.agent.approval import Ask, approve_all, ask_user
from step2_tools.agent.loop import Call, Tools
from step2_tools.cli import costs
from step2_tools.cli.prompts import load_prompt
from step2_tools.tools import alert, build


@dataclass(frozen=True)
class Options:
    """The flags of `ask` and `chat`."""

    format: Format = "text"
    offline: bool = False
    max_turns: int = 8
    max_new_tokens: int = 1024
    timeout_s: float = api_errors.TIMEOUT_S
    mcp: tuple[str, ...] = ()
    alerts: Path | None = None
    yes: bool = False


@dataclass(frozen=True)
class AskReport:
    """The answer to a question, how it was made, and what it cost."""

    command: str
    headline: str
    question: str
    answer: str | JsonAnswer  # as `format` says; an incomplete one is text
    answer_by: str  # "model", or "tools" if their summaries replaced the model's text
    format: Format
    stop_reason: str
    incomplete: str | None  # why, in words; None: the answer is complete
    model: str
    offline: bool
    looked_up: bool  # whether any call succeeded
    calls: list[Call]
    unreachable: bool  # whether a tool's service didn't answer
    # As in costs.Cost:
    turns: int
    input_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    output_tokens: int
    dollars: float | None
    seconds: float
    messages: list[MessageParam]  # the new history
    cost_line: str = field(metadata=HIDDEN)


@dataclass(frozen=True)
class Assistant:
    """A model with its tools and its prompt."""

    settings: Settings
    options: Options
    client: anthropic.Anthropic
    tools: Tools
    system: str
    examples: list[MessageParam]  # before the first question

    def ask(
        self, history: Sequence[MessageParam], question: str, on_message: Callable[[MessageParam], None]
    ) -> AskReport:
        """Answer a question. `on_message` is called with every message.

        Raises:
            UserError: no question, the API fails, or the answer is not the requested JSON.
        """
        settings = self.settings
        options = self.options
        question = clean(question)
        message: MessageParam = {"role": "user", "content": question}
        on_message(message)
        request = answer.request_for(options.format)
        spec = None if settings.base_url else catalog.lookup(settings.model)  # your own server has no prices
        if spec and spec.is_claude:
            # Claude caches the prefix that requests share: tools, system message and earlier turns.
            request["cache_control"] = {"type": "ephemeral"}
        start = time.perf_counter()
        with api_errors.one_line_errors(settings.model, settings):
            done = loop.run(
                self.client,
                settings.model,
                self.tools,
                [*history, message],
                system=self.system,
                max_turns=options.max_turns,
                max_tokens=options.max_new_tokens,
                on_message=on_message,
                **request,
            )
        cost = costs.summarize(done.usages, spec.price if spec else None, time.perf_counter() - start)
        incomplete = why_incomplete(done.stop_reason, options)
        calls = done.calls
        text = done.text
        as_json = options.format == "json" and not incomplete
        if as_json:
            text = answer.parse_answer(text, settings.model)
        guarded = Guarded(text, [])
        if text or not incomplete:
            guarded = answer.guard(text, calls, self.tools)
        text = guarded.text
        cost_line = costs.line(cost, len(calls))
        return AskReport(
            command="step2_tools ask",
            headline=f"{textwrap.shorten(text, 400, placeholder=' ...')} ({cost_line})",
            question=question,
            answer=answer.as_json(question, text, calls) if as_json else text,
            answer_by="tools" if guarded.problems else "model",
            format=options.format,
            stop_reason=done.stop_reason,
            incomplete=incomplete,
            model=settings.model,
            offline=options.offline,
            looked_up=answer.looked_up(calls),
            calls=calls,
            unreachable=unreachable(calls),
            turns=cost.turns,
            input_tokens=cost.input_tokens,
            cache_read_tokens=cost.cache_read_tokens,
            cache_write_tokens=cost.cache_write_tokens,
            output_tokens=cost.output_tokens,
            dollars=cost.dollars,
            seconds=cost.seconds,
            messages=done.messages,
            cost_line=cost_line,
        )


@contextmanager
def assistant(settings: Settings, options: Options) -> Iterator[Assistant]:
    """Set up everything for a conversation; MCP servers are stopped when the `with` block ends.

    Raises:
        UserError: a limit is below 1, the prompt or the key is missing, or an MCP server can't be used.
    """
    for flag, value in (("--max-turns", options.max_turns), ("--max-new-tokens", options.max_new_tokens)):
        if value < 1:
            raise UserError(f"{flag} {value} is not allowed: use 1 or more")
    prompt = prompts.render(load_prompt("assistant", settings.model))
    client = chat_client(settings.model, settings)
    approve = approve_all if options.yes else ask_user
    own: Tools = build(options.offline)
    if options.alerts:
        own = [*own, alert(options.alerts, approve)]
    with _foreign_tools(options.mcp, own, approve) as foreign:
        yield Assistant(
            settings=settings,
            options=options,
            client=api_errors.with_timeouts(client, options.timeout_s, "--timeout"),
            tools=[*own, *foreign],
            system=prompt["system"],
            examples=cast(list[MessageParam], prompt["messages"]),
        )


def _foreign_tools(addresses: Sequence[str], own: Tools, approve: Ask) -> AbstractContextManager[Tools]:
    """The tools of these MCP servers."""
    if not addresses:
        return nullcontext([])
    from step2_tools.agent import mcp  # takes a second, which a question without --mcp need not wait

    return mcp.connect(addresses, own, approve)


def clean(question: str) -> str:
    """The question, with ? for bytes that the shell could not decode.

    Raises:
        UserError: it is empty.
    """
    text = question.encode("utf-8", "replace").decode()
    if not text.strip():
        raise UserError("the question is empty: ask something, for example What is the weather in Bangkok?")
    return text


def unreachable(calls: Sequence[Call]) -> bool:
    """Whether a tool's service didn't answer; then --offline helps."""
    failures = [call.result for call in calls if call.is_error]
    return any("cannot be reached" in text or "did not answer in time" in text for text in failures)


def why_incomplete(stop_reason: str, options: Options) -> str | None:
    """Why the answer is incomplete, in words; None if it is complete."""
    reasons = {
        "end_turn": None,
        "max_turns": f"stopped at --max-turns {options.max_turns}, the model still called tools",
        "max_tokens": f"cut at --max-new-tokens {options.max_new_tokens}",
        "refusal": "the model refused to answer",
        "model_context_window_exceeded": "the conversation has filled the model's context: ask less at once",
    }
    return reasons.get(stop_reason, f"the model stopped for another reason: {stop_reason}")
