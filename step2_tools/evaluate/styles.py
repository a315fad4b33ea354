"""Styles of asking a model for calls: native tool calling, or prompts that ask for JSON as text.

    native              tools=[...] in the request; the calls are the tool_use blocks of the first reply
    native -grammar     embedded model only: the same, without the grammar that keeps its calls valid
    zero-shot           the tools are in the system message, the model writes a JSON list (json_calls v1)
    few-shot            the same, with five examples as turns before the question (json_calls v3)
    few-shot reversed   the same, with the examples in reverse order
    few-shot +schema    the same, with a JSON schema for the reply that only allows a list of valid calls
    v2                  a version of prompts/json_calls.*.md; also with `reversed` and `+schema`

request.py writes the request of a text style, reply.py finds the calls in its reply, and ask.py sends one.
"""

import dataclasses
import re
from dataclasses import dataclass

from shared import prompts
from shared.errors import UserError
from step2_tools import PROMPTS

VERSIONS = {"zero-shot": 1, "few-shot": 3}
NAME = re.compile(r"(zero-shot|few-shot|v(?P<version>\d{1,6}))(?P<reversed> reversed)?(?P<schema> \+schema)?")
DEFAULT = ("native", "zero-shot", "few-shot", "few-shot reversed", "zero-shot +schema", "few-shot +schema")


@dataclass(frozen=True)
class Style:
    """One style of asking."""

    name: str
    prompt: prompts.Prompt
    native: bool = False
    schema: bool = False  # the request has a JSON schema for the reply
    grammar: bool = True  # a grammar keeps the embedded model's native calls valid


def parse_style(name: str, family: str | None = None) -> Style:
    """The style with that name; `family` is the model's, for the prompt of the native styles.

    Raises:
        UserError: there is no such style, or no such version of the prompt.
    """
    if name in ("native", "native -grammar"):
        assistant = prompts.load(PROMPTS, "assistant", family=family)
        return Style(name, assistant, native=True, grammar=name == "native")
    match = NAME.fullmatch(name)
    if not match:
        raise UserError(
            f"style {name!r} is not known: use native, native -grammar, or zero-shot, few-shot, "
            "or v and a version, each of these with ' reversed' and ' +schema' if you like"
        )
    version = int(match["version"]) if match["version"] else VERSIONS[match[1]]
    prompt = prompts.load(PROMPTS, "json_calls", version)
    if match["reversed"]:
        if len(prompt.examples) < 2:
            raise UserError(f"style {name!r}: that prompt has no examples whose order could be reversed")
        prompt = dataclasses.replace(prompt, examples=prompt.examples[::-1])
    return Style(name, prompt, schema=match["schema"] is not None)
