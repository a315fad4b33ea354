"""Answers one question: collects client, tools and prompt, runs the loop, and sums up the cost.

$ python -m step2_tools "What is the weather in Bangkok?"
In Bangkok, Thailand it is 31 °C now, partly cloudy; wind 8 km/h.
2 turns, 1 tool call; 812 tokens in, 57 out; price unknown; 1.9 s
"""

import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anthropic

from shared import catalog, prompts
from shared.chat import errors as api_errors
from shared.config import Settings
from shared.errors import UserError
from step2_tools import PROMPTS
from step2_tools.agent import answer, loop, mcp
from step2_tools.agent.answer import Format
from step2_tools.agent.approval import approve_all, ask_user
from step2_tools.agent.loop import Message
from step2_tools.cli import costs
from step2_tools.tools import alert, build

HINT = "a service cannot be reached; with --offline, the tools answer from sample data"


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


@dataclass
class Assistant:
    """A model with its tools and its prompt."""

    settings: Settings
    options: Options
    client: anthropic.Anthropic
    tools: loop.Tools
    system: str
    examples: list[Message]  # before the first question

    def ask(
        self, history: Sequence[Message], question: str, on_message: Callable[[Message], None]
    ) -> dict[str, Any]:
        """Answer a question: the facts, of which `messages` is the new history.

        `on_message` is called with every message.

        Raises:
            UserError: no question, the API fails, or the answer is not the requested JSON.
        """
        settings, options = self.settings, self.options
        message = user_turn(question)
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
        calls, text = done.calls, done.text
        incomplete = why_incomplete(done.stop_reason, options)
        as_json = options.format == "json" and not incomplete
        if as_json:
            text = answer.parse_answer(text, settings.model)
        text, by_tools = answer.guard(text, [call.result for call in calls])
        shortened = textwrap.shorten(text, 400, placeholder=" ...")
        return {
            "command": "step2_tools ask",
            "headline": f"{shortened} ({costs.line(cost, len(calls))})",
            "question": message["content"],
            "answer": answer.as_json(message["content"], text, calls) if as_json else text,
            "answer_by": "tools" if by_tools else "model",
            "format": options.format,
            "stop_reason": done.stop_reason,
            "incomplete": incomplete,
            "model": settings.model,
            "offline": options.offline,
            "looked_up": answer.looked_up(calls),
            "calls": [call._asdict() for call in calls],
            "unreachable": unreachable(calls),
            **cost,
            "messages": done.messages,
        }


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
    from shared.chat.client import chat_client

    client = chat_client(settings.model, settings)
    approve = approve_all if options.yes else ask_user
    own = [*build(options.offline), *([alert(options.alerts, approve)] if options.alerts else [])]
    with mcp.connect(options.mcp, own, approve) as foreign:
        yield Assistant(
            settings,
            options,
            api_errors.with_timeouts(client, options.timeout_s, "--timeout"),
            [*own, *foreign],
            prompt["system"],
            prompt["messages"],
        )


def load_prompt(name: str, model: str) -> prompts.Prompt:
    """The prompt with that id, or with that id and version (`assistant@2`).

    Raises:
        UserError: there is no such prompt.
    """
    prompt_id, _, version = name.partition("@")
    if version and not version.isdecimal():
        raise UserError(f"prompt {name!r} is not allowed: use an id, or an id and a version (assistant@1)")
    family = prompts.family_of(model)
    return prompts.load(PROMPTS, prompt_id, int(version) if version else None, family)


def user_turn(question: str) -> Message:
    """The question as a message.

    Raises:
        UserError: it is empty.
    """
    text = question.encode("utf-8", "replace").decode()  # replaces bytes that the shell could not decode
    if not text.strip():
        raise UserError("the question is empty: ask something, for example What is the weather in Bangkok?")
    return {"role": "user", "content": text}


def warn(facts: dict[str, Any]) -> None:
    """Print on stderr why the answer is incomplete or wrong, and what helps."""
    if facts["unreachable"]:
        print(HINT, file=sys.stderr)
    if facts["incomplete"]:
        print(f"incomplete: {facts['incomplete']}", file=sys.stderr)


def unreachable(calls: Sequence[loop.Call]) -> bool:
    """Whether a tool's service didn't answer; then `HINT` helps."""
    messages = ("cannot be reached", "did not answer in time")
    return any(call.is_error and any(text in call.result for text in messages) for call in calls)


def why_incomplete(stop_reason: str, options: Options) -> str | None:
    """Why the answer is incomplete, in words; None if it is complete."""
    return {
        "end_turn": None,
        "max_turns": f"stopped at --max-turns {options.max_turns}, the model still called tools",
        "max_tokens": f"cut at --max-new-tokens {options.max_new_tokens}",
        "refusal": "the model refused to answer",
        "model_context_window_exceeded": "the conversation has filled the model's context: ask less at once",
    }.get(stop_reason, f"the model stopped for another reason: {stop_reason}")
