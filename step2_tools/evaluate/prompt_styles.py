"""Styles of asking a model for calls: native tool calling, or prompts that ask for JSON as text.

    native              tools=[...] in the request; the calls are the tool_use blocks of the first reply
    native -grammar     embedded model only: the same, without the grammar that keeps its calls valid
    zero-shot           the tools are in the system message, the model writes a JSON list (json_calls v1)
    few-shot            the same, with five examples as turns before the question (json_calls v3)
    few-shot reversed   the same, with the examples in reverse order
    few-shot +schema    the same, with a JSON schema for the reply that only allows a list of valid calls
    v2                  a version of prompts/json_calls.*.md; also with `reversed` and `+schema`

Each question gets one reply, and no tool is called.
"""

import dataclasses
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import anthropic

from shared import prompts
from shared.chat.usage import input_tokens
from shared.errors import UserError
from step2_tools import PROMPTS
from step2_tools.evaluate.scoring import Call

MAX_TOKENS = 200
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


@dataclass(frozen=True)
class Reply:
    """The model's reply; `calls` is None if the text has no list of calls."""

    calls: list[Call] | None
    text: str
    input_tokens: int
    output_tokens: int


def parse(name: str, family: str | None = None) -> Style:
    """The style with that name.

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


def ask(
    client: anthropic.Anthropic, model: str, style: Style, question: str, tools: Sequence[dict[str, Any]]
) -> Reply:
    """Ask one question in this style, with these tools' definitions; the SDK's exceptions are not caught."""
    if not style.native:
        request = few_shot(style.prompt, list(map(signature, tools)), question)
        return send_text(client, model, style, tools, **request)
    request = {
        "system": prompts.render(style.prompt)["system"],
        "messages": [{"role": "user", "content": question}],
    }
    if not style.grammar:
        return _unconstrained(model, request, tools)
    return send(client, model, tools=tools, **request)


def send(client: anthropic.Anthropic, model: str, **request: Any) -> Reply:
    """Send one request; the calls are the reply's tool_use blocks."""
    message = client.messages.create(model=model, max_tokens=MAX_TOKENS, **request)
    calls = [
        {"name": block.name, "input": block.input} for block in message.content if block.type == "tool_use"
    ]
    text = "".join(block.text for block in message.content if block.type == "text")
    return Reply(calls, text, input_tokens(message.usage), message.usage.output_tokens)


def send_text(
    client: anthropic.Anthropic, model: str, style: Style, tools: Sequence[dict[str, Any]], **request: Any
) -> Reply:
    """Send one request, with a JSON schema if the style has one; the calls are those in the reply's text."""
    if style.schema:
        request["output_config"] = {"format": {"type": "json_schema", "schema": calls_schema(tools)}}
    reply = send(client, model, **request)
    return dataclasses.replace(reply, calls=calls_in(reply.text))


def _unconstrained(model: str, body: dict[str, Any], tools: Sequence[dict[str, Any]]) -> Reply:
    """The embedded model's reply with its adapter, but without the grammar."""
    from shared.config import load_settings
    from shared.embedded.backend import get_backend
    from shared.embedded.prompt import Conversation
    from shared.embedded.wire import validate_request

    backend = get_backend(load_settings(model=model))
    fields = {"model": model, "max_tokens": MAX_TOKENS, "tools": [*tools], **body}
    request = validate_request(fields)
    conversation = Conversation.of(request, request.tools)
    prompt = backend.engine.encode(conversation.render(backend.engine.tokenizer))
    generation = backend.engine.generate(prompt, MAX_TOKENS, adapter=True)
    text = "".join(generation)
    calls = calls_in(text.replace('"arguments": ', '"input": '))
    return Reply(calls, text, len(prompt), generation.output_tokens)


def few_shot(prompt: prompts.Prompt, tools: Sequence[str], question: str) -> dict[str, Any]:
    """The fields `system` and `messages` of a request: the examples as turns, then the question.

    Each example becomes two turns, {"role": "user", "content": ...} and the same for "assistant", in the
    prompt's order. `{{tools}}`, in the system message or in an example, is replaced by the tools, one per
    line. The tools and the question are inserted unchanged, even if they contain `{{...}}`.

    Raises:
        UserError: the prompt doesn't have the variable `tools`, or has another one.
    """
    ### BEGIN SOLUTION 2.2: A few-shot renderer
    rendered = prompts.render(prompt, tools="\n".join(tools))
    turn = {"role": "user", "content": question}
    return {"system": rendered["system"], "messages": [*rendered["messages"], turn]}
    ### END SOLUTION


def written(row: dict[str, Any]) -> str:
    """The label of a question as the reply that a model should write: the second half of an example.

    The reply is a list of calls as `json.dumps` writes it, but é stays é; `[]` if the label has no calls. A
    call has its name, then its input: each argument with the first value that the label accepts. Arguments
    that may be left out are omitted (`None` is among their accepted values, or the list of values is empty).

    >>> written({"calls": [{"name": "get_time", "input": {"city": ["Lima", "Lima, Peru"]}}]})
    '[{"name": "get_time", "input": {"city": "Lima"}}]'
    """
    ### BEGIN SOLUTION 2.2: A few-shot renderer
    calls = [
        {
            "name": label["name"],
            "input": {
                name: accepted[0]
                for name, accepted in label["input"].items()
                if accepted and None not in accepted
            },
        }
        for label in row["calls"]
    ]
    return json.dumps(calls, ensure_ascii=False)
    ### END SOLUTION


def calls_in(text: str) -> list[Call] | None:
    """The first list of calls, or single call, in the text as JSON; None if there is none.

    `_is_call` defines a call. A single call gives a list of one, and `[]` is a list without calls. The text
    around the JSON doesn't matter. Try to parse JSON at each `[` and `{` in turn. If there is valid JSON,
    but not calls, continue after its end: nothing inside it counts. If there is no valid JSON (or it is
    nested too deep to be parsed), continue with the next bracket.

    >>> calls_in('Sure! [{"name": "get_time", "input": {"city": "Vaduz"}}]')
    [{'name': 'get_time', 'input': {'city': 'Vaduz'}}]
    """
    ### BEGIN SOLUTION 2.3: Calls in text
    place = 0
    while opening := re.compile(r"[\[{]").search(text, place):
        try:
            value, place = json.JSONDecoder().raw_decode(text, opening.start())
        except (ValueError, RecursionError):
            place = opening.end()
            continue
        calls = [value] if isinstance(value, dict) else value
        if all(_is_call(each) for each in calls):
            return calls
    return None
    ### END SOLUTION


def _is_call(value: Any) -> bool:
    """Whether the value is an object with only a name (a string) and an input (an object)."""
    return (
        isinstance(value, dict)
        and value.keys() == {"name", "input"}
        and isinstance(value["name"], str)
        and isinstance(value["input"], dict)
    )


def calls_schema(tools: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The JSON schema of a list of valid calls of these tools, as structured outputs support it."""
    from anthropic import transform_schema

    definitions: dict[str, Any] = {}  # all tools' $defs, which references look up at the top level
    kinds = []
    for tool in tools:
        arguments = dict(tool["input_schema"])
        definitions |= arguments.pop("$defs", {})
        kinds.append(
            {
                "type": "object",
                "properties": {"name": {"const": tool["name"]}, "input": arguments},
                "required": ["name", "input"],
            }
        )
    schema: dict[str, Any] = {"type": "array", "items": {"anyOf": kinds}}
    return transform_schema(schema | {"$defs": definitions} if definitions else schema)


def signature(tool: dict[str, Any]) -> str:
    """A tool on one line, shorter than its definition and easier for a small model.

    The arguments follow the order of the schema's `properties`, as `name: kind`, or `name?: kind` if they
    are not `required`. The kind is the values of the argument's `enum` as `json.dumps` writes them, joined
    by ` | `; without an enum (or with an empty one), its `type`; without a type, `any`. In the description,
    any run of white space becomes one space. `properties`, `required` and `description` may be missing,
    which means none, none and "".

    >>> signature(tool)
    'get_time(city: string): Get the local date and time in a city.'
    """
    ### BEGIN SOLUTION 2.1: A tool on one line
    schema = tool["input_schema"]
    arguments = []
    for name, about in schema.get("properties", {}).items():
        kind = " | ".join(json.dumps(each) for each in about.get("enum", [])) or about.get("type", "any")
        optional = "" if name in schema.get("required", []) else "?"
        arguments.append(f"{name}{optional}: {kind}")
    return f"{tool['name']}({', '.join(arguments)}): {' '.join(tool.get('description', '').split())}"
    ### END SOLUTION
