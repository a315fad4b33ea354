"""One question, one answer: gathers client, tools and prompt, runs the loop, and says what it cost.

$ python -m step2_tools "What is the weather in Bangkok?"
In Bangkok, Thailand it is 31 °C now, partly cloudy; wind 8 km/h.
2 turns, 1 tool call; 812 tokens in, 57 out; price unknown; 1.9 s
"""

from __future__ import annotations

import textwrap
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared import catalog, prompts
from shared.chat import errors as api_errors
from shared.config import Settings
from shared.errors import UserError
from step2_tools import answer, costs, loop, runner
from step2_tools.answer import Format
from step2_tools.loop import Message, Outcome
from step2_tools.tools import build

if TYPE_CHECKING:
    import anthropic

PROMPTS = Path(__file__).with_name("prompts")
PROMPT = "assistant"
HINT = "a service cannot be reached; with --offline, recorded examples answer"
Hear = Callable[[Any], None]


@dataclass(frozen=True)
class How:
    """The flags of `ask` and `chat`."""

    by_runner: bool = False
    format: Format = "text"
    offline: bool = False
    max_turns: int = 8
    max_tokens: int = 1024
    timeout_s: float = api_errors.TIMEOUT_S
    prompt: str = PROMPT


@dataclass
class Assistant:
    """A model with its tools and its prompt. `turn` is one run of the loop."""

    settings: Settings
    how: How
    client: anthropic.Anthropic
    tools: loop.Tools
    system: str
    examples: list[Message] = field(default_factory=list)  # turns that come before the first question

    def turn(self, messages: Sequence[Message], on_text: Hear, on_message: Hear, **request: Any) -> Outcome:
        """Answer the last message.

        Raises:
            UserError: the API can't be had, or refuses.
        """
        run = runner.run if self.how.by_runner else loop.run
        with api_errors.one_line_errors(self.settings.model, self.settings):
            return run(
                self.client,
                self.settings.model,
                self.tools,
                messages,
                system=self.system,
                max_turns=self.how.max_turns,
                max_tokens=self.how.max_tokens,
                on_text=on_text,
                on_message=on_message,
                **request,
            )

    def costs(self, usages: Sequence[Any], seconds: float) -> dict[str, Any]:
        """What it cost. A server of one's own has prices of its own, whatever it calls its models."""
        price = None if self.settings.base_url else catalog.lookup(self.settings.model).price
        return costs.of(usages, price, seconds)


def assistant(settings: Settings, how: How) -> Assistant:
    """Everything that a conversation needs.

    Raises:
        UserError: a limit that allows nothing, no such prompt, no key.
    """
    for flag, value in (("--max-turns", how.max_turns), ("--max-tokens", how.max_tokens)):
        if value < 1:
            raise UserError(f"{flag} {value} is not allowed: use 1 or more")
    prompt = prompts.render(load_prompt(how.prompt, settings.model))
    from shared.chat.client import chat_client

    client = chat_client(settings.model, settings)
    return Assistant(
        settings,
        how,
        api_errors.with_timeouts(client, how.timeout_s),
        build(how.offline, settings),
        answer.system_for(how.format, prompt["system"]),
        prompt["messages"],
    )


def load_prompt(name: str, model: str) -> prompts.Prompt:
    """The prompt of that id, or of that id and version (`assistant@2`).

    Raises:
        UserError: there is none.
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
    text = question.encode("utf-8", "replace").decode()  # what the shell could not decode is no text
    if not text.strip():
        raise UserError("the question is empty: ask something, for example What is the weather in Bangkok?")
    return {"role": "user", "content": text}


def run(settings: Settings, question: str, how: How, on_text: Hear, on_message: Hear) -> dict[str, Any]:
    """Answer the question; the text is heard as it comes, unless it comes as JSON.

    Raises:
        UserError: no question, no key, an API that fails, or JSON that is wrong twice.
    """
    asked = user_turn(question)
    who = assistant(settings, how)
    on_message(asked)
    start = time.perf_counter()
    done = who.turn([*who.examples, asked], on_text, on_message, **answer.request_for(how.format))
    text = _written(who, done, on_message) if how.format == "json" else done.text
    calls = done.calls
    facts = {
        "command": "step2_tools ask",
        "question": asked["content"],
        "answer": text,
        "format": how.format,
        "stop_reason": done.stop_reason,
        "incomplete": why_incomplete(done.stop_reason, how),
        "model": settings.model,
        "loop": "tool_runner" if how.by_runner else "by hand",
        "prompt": str(how.prompt),
        "offline": how.offline,
        "calls": [call._asdict() for call in calls],
        "unreachable": unreachable(calls),
        **who.costs(done.usages, time.perf_counter() - start),
        "messages": done.messages,
    }
    if how.format == "json" and not facts["incomplete"]:
        facts["answer"] = answer.as_json(asked["content"], text, calls).model_dump()
    if how.format == "markdown":
        facts["answer"] = answer.as_markdown(text, calls)
    said = textwrap.shorten(text, 400, placeholder=" ...")
    facts["headline"] = f"{said} ({costs.line(facts, len(calls))})"
    return facts


def _written(who: Assistant, done: Outcome, on_message: Hear) -> str:
    """The answer in the JSON that the model wrote; asked for once more when it doesn't follow the schema.

    Raises:
        UserError: it is wrong a second time.
    """
    if why_incomplete(done.stop_reason, who.how):
        return done.text
    try:
        return answer.written(done.text)
    except ValueError as error:
        again = {
            "role": "user",
            "content": f"That is not the JSON that was asked for ({error}). Write it again.",
        }
    on_message(again)
    second = who.turn(
        [*done.messages, again],
        lambda _text: None,
        on_message,
        tool_choice={"type": "none"},  # the facts are there: no tool runs twice
        **answer.request_for("json"),
    )
    done.messages, done.usages = second.messages, [*done.usages, *second.usages]
    done.stop_reason = second.stop_reason
    try:
        return answer.written(second.text)
    except ValueError as error:
        raise UserError(
            f"{who.settings.model} wrote no valid JSON, twice ({error}): use --format text, or another model"
        ) from None


def unreachable(calls: Sequence[loop.Call]) -> bool:
    """Did a tool's service not answer at all? Then `HINT` helps."""
    silent = ("cannot be reached", "did not answer in time")
    return any(call.is_error and any(words in call.result for words in silent) for call in calls)


def why_incomplete(stop_reason: str, how: How) -> str | None:
    """In words, why an answer is not a whole one; None when it is."""
    return {
        "end_turn": None,
        "stop_sequence": None,
        "max_turns": f"stopped at --max-turns {how.max_turns}, the model still called tools",
        "max_tokens": f"cut at --max-tokens {how.max_tokens}",
        "refusal": "the model refused to answer",
        "model_context_window_exceeded": "the conversation has filled the model's context: ask less at once",
    }.get(stop_reason, f"the model stopped for another reason: {stop_reason}")
