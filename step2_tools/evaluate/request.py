"""The request of a style that asks for calls as text: tools on a line each, examples as turns, a schema.

system      ... Tools: get_weather(city: string, day?: string): Get the weather.      signature
user        Is it raining in Vaduz?                                                   few_shot
assistant   [{"name": "get_weather", "input": {"city": "Vaduz"}}]                     written
user        the question
"""

import json
from collections.abc import Sequence

from anthropic import transform_schema
from anthropic.types import MessageParam

from shared import prompts
from shared.embedded.wire import Schema
from step2_tools.evaluate.questions import Call, Question, ToolDefinition


def signature(tool: ToolDefinition) -> str:
    """A tool on one line, shorter than its definition and easier for a small model.

    The arguments follow the order of the schema's `properties`, as `name: kind`, or `name?: kind` if they
    are not `required`. The kind is the values of the argument's `enum` as `json.dumps` writes them, joined
    by ` | `; without an enum (or with an empty one), its `type`; without a type, `any`. In the description,
    any run of white space becomes one space. `properties`, `required` and `description` may be missing,
    which means none, none and "" (the line then ends with a space).

    >>> signature(tool)
    'get_time(city: string): Get the local date and time in a city.'
    """
    ### BEGIN SOLUTION 2.1: A tool on one line
    schema = tool["input_schema"]
    arguments = []
    for name, about in schema.get("properties", {}).items():
        values = [json.dumps(value) for value in about.get("enum", [])]
        kind = " | ".join(values) if values else about.get("type", "any")
        optional = "" if name in schema.get("required", []) else "?"
        arguments.append(f"{name}{optional}: {kind}")
    description = " ".join(tool.get("description", "").split())
    return f"{tool['name']}({', '.join(arguments)}): {description}"
    ### END SOLUTION


def few_shot(prompt: prompts.Prompt, tools: Sequence[str], question: str) -> prompts.RenderedPrompt:
    """The fields `system` and `messages` of a request: the examples as turns, then the question.

    Each example becomes two turns, {"role": "user", "content": ...} and the same for "assistant", in the
    prompt's order. `{{tools}}`, in the system message or in an example, is replaced by the tools, one per
    line. The tools and the question are inserted unchanged, even if they contain `{{...}}`.

    Raises:
        UserError: the prompt doesn't have the variable `tools`, or has another one.
    """
    ### BEGIN SOLUTION 2.2: A few-shot renderer
    rendered = prompts.render(prompt, tools="\n".join(tools))
    turn: MessageParam = {"role": "user", "content": question}
    return {"system": rendered["system"], "messages": [*rendered["messages"], turn]}
    ### END SOLUTION


def written(question: Question) -> str:
    """The label of a question as the reply that a model should write: the second half of an example.

    The reply is a list of `question.calls` as `json.dumps` writes it, but é stays é; `[]` if there are no
    calls. A call has its name, then its input: each argument with the first value that the label accepts.
    Arguments that may be left out are omitted (`None` is among their accepted values, or the list of values
    is empty).

    >>> question.calls
    [{'name': 'get_time', 'input': {'city': ['Lima', 'Lima, Peru']}}]
    >>> written(question)
    '[{"name": "get_time", "input": {"city": "Lima"}}]'
    """
    ### BEGIN SOLUTION 2.2: A few-shot renderer
    calls: list[Call] = []
    for label in question.calls:
        arguments = {}
        for name, accepted in label["input"].items():
            if accepted and None not in accepted:
                arguments[name] = accepted[0]
        calls.append({"name": label["name"], "input": arguments})
    return json.dumps(calls, ensure_ascii=False)
    ### END SOLUTION


def calls_schema(tools: Sequence[ToolDefinition]) -> Schema:
    """The JSON schema of a list of valid calls of these tools, as structured outputs support it."""
    definitions: dict[str, Schema] = {}  # all tools' $defs, which references look up at the top level
    calls = []  # the schema of a call of each tool
    for tool in tools:
        arguments = dict(tool["input_schema"])
        definitions |= arguments.pop("$defs", {})
        properties = {"name": {"const": tool["name"]}, "input": arguments}
        calls.append({"type": "object", "properties": properties, "required": ["name", "input"]})
    schema: Schema = {"type": "array", "items": {"anyOf": calls}}
    if definitions:
        schema["$defs"] = definitions
    return transform_schema(schema)
