"""Ways of asking a model for calls: native tool calling, or prompts that have it write JSON as text.

    native              tools=[...] in the request; the calls are the tool_use blocks of the first reply
    native -grammar     the embedded model only: the same, without the grammar that keeps its calls valid
    zero-shot           the tools stand in the system message, the model writes a JSON list (json_calls v1)
    few-shot            the same with five examples as turns before the question (json_calls v3)
    few-shot reversed   the examples in the other order: nothing else differs
    few-shot +schema    the reply is held to a JSON schema that permits a list of valid calls and nothing else
    v2                  any version of prompts/json_calls.*.md; takes `reversed` and `+schema`, too

One reply is asked for, and no tool is called.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared import prompts
from shared.errors import UserError
from step2_tools import PROMPTS
from step2_tools.agent import loop
from step2_tools.evaluate.scoring import Call

if TYPE_CHECKING:
    import anthropic

MAX_TOKENS = 200
VERSIONS = {"zero-shot": 1, "few-shot": 3}
NAME = re.compile(r"(zero-shot|few-shot|v(?P<version>\d{1,6}))(?P<reversed> reversed)?(?P<schema> \+schema)?")
DEFAULT = ("native", "zero-shot", "few-shot", "few-shot reversed", "zero-shot +schema", "few-shot +schema")


@dataclass(frozen=True)
class Style:
    """One way of asking."""

    name: str
    prompt: prompts.Prompt
    native: bool = False
    schema: bool = False  # the reply is held to one
    grammar: bool = True  # of the embedded model's native calls


@dataclass(frozen=True)
class Reply:
    """What came back; `calls` is None when the text is not a list of calls."""

    calls: list[Call] | None
    text: str
    input_tokens: int
    output_tokens: int


def parse(name: str, family: str | None = None) -> Style:
    """The style of that name.

    Raises:
        UserError: there is none, or no such version of the prompt.
    """
    if name in ("native", "native -grammar"):
        assistant = prompts.load(PROMPTS, "assistant", family=family)
        return Style(name, assistant, native=True, grammar=name == "native")
    said = NAME.fullmatch(name)
    if not said:
        raise UserError(
            f"style {name!r} is not known: use native, native -grammar, or zero-shot, few-shot, "
            "or v and a version, each of these with ' reversed' and ' +schema' if you like"
        )
    version = int(said["version"]) if said["version"] else VERSIONS[said[1]]
    prompt = prompts.load(PROMPTS, "json_calls", version)
    if said["reversed"]:
        if len(prompt.examples) < 2:
            raise UserError(f"style {name!r}: that prompt has no examples whose order could be reversed")
        prompt = dataclasses.replace(prompt, examples=prompt.examples[::-1])
    return Style(name, prompt, schema=said["schema"] is not None)


def ask(
    client: anthropic.Anthropic, model: str, style: Style, question: str, tools: Sequence[dict[str, Any]]
) -> Reply:
    """Put one question in this style, with these tools' definitions; the SDK's errors pass through."""
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
    """One turn; the calls are those of its tool_use blocks."""
    message = client.messages.create(model=model, max_tokens=MAX_TOKENS, **request)
    calls = [
        {"name": block.name, "input": block.input} for block in message.content if block.type == "tool_use"
    ]
    text = "".join(block.text for block in message.content if block.type == "text")
    return Reply(calls, text, loop.input_tokens(message.usage), message.usage.output_tokens)


def send_text(
    client: anthropic.Anthropic,
    model: str,
    style: Style,
    tools: Sequence[dict[str, Any]],
    **request: Any,
) -> Reply:
    """One turn of text, held to a schema where the style says so; the calls are those in the text."""
    if style.schema:
        request["output_config"] = {"format": {"type": "json_schema", "schema": calls_schema(tools)}}
    reply = send(client, model, **request)
    return dataclasses.replace(reply, calls=calls_in(reply.text))


def _unconstrained(model: str, body: dict[str, Any], tools: Sequence[dict[str, Any]]) -> Reply:
    """What the embedded model writes with its adapter where no grammar holds it.

    Raises:
        UserError: the model is not embedded.
    """
    from shared import catalog
    from shared.config import load_settings
    from shared.embedded.backend import get_backend
    from shared.embedded.prompt import Conversation

    if catalog.lookup(model).is_claude:
        raise UserError("style 'native -grammar' is for the embedded model: choose another, or --model")
    backend = get_backend(load_settings(model=model))
    prompt = backend.engine.encode(Conversation(body, tools).render(backend.engine.tokenizer))
    writing = backend.engine.generate(prompt, MAX_TOKENS, adapter=True)
    text = "".join(writing)
    calls = calls_in(text.replace('"arguments": ', '"input": '))
    return Reply(calls, text, len(prompt), writing.output_tokens)


def few_shot(prompt: prompts.Prompt, tools: Sequence[str], question: str) -> dict[str, Any]:
    """The fields `system` and `messages` of a request: the examples as turns, and after them the question.

    Each example becomes two turns, {"role": "user", "content": ...} and the same of the "assistant", in the
    order of the prompt. Where the prompt says `{{tools}}`, in the system message or in an example, stand the
    tools, one a line. They and the question are put in unchanged, `{{...}}` in them included.

    Raises:
        UserError: the prompt has no place for the tools, or one for something else.
    """
    ### BEGIN SOLUTION 2.2: A few-shot renderer
    rendered = prompts.render(prompt, tools="\n".join(tools))
    turn = {"role": "user", "content": question}
    return {"system": rendered["system"], "messages": [*rendered["messages"], turn]}
    ### END SOLUTION


def written(row: dict[str, Any]) -> str:
    """The label of a question as the reply that a model should write: the second half of an example.

    A list of calls as `json.dumps` writes it, but é stays é; `[]` where no call is asked for. A call has its
    name, then its input: each argument with the first of the values that the label accepts, without those
    that may be left out (`None` is among the values, or there are none).

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
    """The first list of calls, or single call, that stands in the text as JSON; None when there is none.

    A call is what `_is_call` says; a single one gives a list of one, and `[]` is a list of no calls. What
    stands around it does not matter. The text is tried at each `[` and `{` in turn. JSON that begins there
    and is no calls is passed over whole: nothing inside it counts. Where no JSON begins (or one that is
    nested too deep to be read), the next bracket is tried.

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
    """An object with a name and an input, of the right types, and nothing else."""
    return (
        isinstance(value, dict)
        and value.keys() == {"name", "input"}
        and isinstance(value["name"], str)
        and isinstance(value["input"], dict)
    )


def calls_schema(tools: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The JSON schema of a list of valid calls of these tools, in the subset that structured outputs take."""
    from anthropic import transform_schema

    shared: dict[str, Any] = {}  # $defs of the tools' schemas: references are from the top
    kinds = []
    for tool in tools:
        arguments = dict(tool["input_schema"])
        shared |= arguments.pop("$defs", {})
        kinds.append(
            {
                "type": "object",
                "properties": {"name": {"const": tool["name"]}, "input": arguments},
                "required": ["name", "input"],
            }
        )
    schema: dict[str, Any] = {"type": "array", "items": {"anyOf": kinds}}
    return transform_schema(schema | {"$defs": shared} if shared else schema)


def signature(tool: dict[str, Any]) -> str:
    """A tool on one line, shorter than its definition and easier for a small model.

    The arguments stand in the order of the schema's `properties`, as `name: kind`; one that is not `required`
    as `name?: kind`. Its kind is the values of its `enum` as `json.dumps` writes them, with ` | ` between;
    without an enum (or with an empty one) its `type`; without that, `any`. In the description, white space of
    any length is one space. `properties`, `required`, `description` may be missing: none, none, "" then.

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
