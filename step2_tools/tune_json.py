"""What is tuned for a model that writes its calls as JSON: the prompt json_calls, instruction and examples.

    target = JsonCalls(client, "claude-sonnet-5-5", tools, prompt)
    target.ask(prompt, "Do I need a coat in Oslo?").calls

A search writes instructions that may be anything; `to_prompt` makes prompts of the house's form of them, with
a place for the list of tools. How candidates are found is tune_search.py.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from shared import prompts
from shared.prompts import Prompt
from step2_tools import conditions
from step2_tools.tool import FunctionTool

if TYPE_CHECKING:
    import anthropic

TOOLS = "{{tools}}"
THREADS = 4


class JsonCalls:
    """The model behind a client, asked in the manner of `conditions.ask`; satisfies optimize.Target."""

    metric, threads, proposer = "right_arguments", THREADS, None
    optimizers: tuple[str, ...] = ("gepa", "mipro", "shots")

    def __init__(
        self, client: anthropic.Anthropic, model: str, tools: Sequence[FunctionTool], start: Prompt
    ) -> None:
        self.start = start
        self._client, self._model, self._tools = client, model, tools
        self._listed = "\n".join(conditions.signature({**tool.to_dict()}) for tool in tools)

    def ask(self, prompt: Prompt, question: str) -> conditions.Reply:
        """One question under a prompt; the SDK's errors pass through."""
        way = conditions.Condition(f"v{prompt.version}", prompt)
        return conditions.ask(self._client, self._model, way, question, self._tools)

    def complete(self, system: str, messages: list[dict[str, str]], max_tokens: int) -> str:
        """What the model says to a program of DSPy's, the list of tools put into its instruction."""
        whole = prompts.VARIABLE.sub(lambda _: self._listed, _whole(system))
        return self.write(whole, messages, max_tokens)

    def write(self, system: str, messages: list[dict[str, str]], max_tokens: int) -> str:
        """What the model says to DSPy itself, where it has it write instructions."""
        request: dict[str, Any] = {"messages": messages} | ({"system": system} if system else {})
        message = self._client.messages.create(model=self._model, max_tokens=max_tokens, **request)
        return "".join(block.text for block in message.content if block.type == "text")

    def to_program(self, prompt: Prompt) -> tuple[str, list[tuple[str, str]]]:
        """Instruction and demonstrations."""
        return prompt.system, list(prompt.examples)

    def to_prompt(self, instructions: str, demos: Sequence[tuple[str, str]]) -> Prompt:
        """And back."""
        examples = tuple((_harmless(question), _harmless(calls)) for question, calls in demos)
        return dataclasses.replace(self.start, system=_whole(instructions), examples=examples, meta={})

    @staticmethod
    def written(row: dict[str, Any]) -> str:
        return conditions.written(row)


def _whole(instructions: str) -> str:
    """With a place for the tools, and nothing that a prompt file would take for a section or a variable."""
    before, found, after = re.sub(r"\{\{\s*tools\s*\}\}", TOOLS, instructions.strip()).partition(TOOLS)
    if not found:
        return f"{_harmless(before)}\n\nThe tools:\n\n{TOOLS}"
    return _harmless(before) + TOOLS + _harmless(after)


def _harmless(text: str) -> str:
    text = prompts.VARIABLE.sub(lambda name: f"{{{name[1]}}}", text)
    return prompts.SECTION.sub(lambda line: f"#{line[0]}", text)
