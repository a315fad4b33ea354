"""Asks a question in one of the styles (styles.py): one request, one reply, and no tool is called."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import anthropic

from shared import prompts
from shared.chat.usage import input_tokens
from shared.config import load_settings
from shared.embedded.backend import get_backend
from shared.embedded.prompt import Conversation
from shared.embedded.wire import validate_request
from step2_tools.evaluate.questions import Call, ToolDefinition
from step2_tools.evaluate.reply import Reply, calls_in
from step2_tools.evaluate.request import calls_schema, few_shot, signature
from step2_tools.evaluate.styles import Style

MAX_TOKENS = 200


def ask_in_style(
    client: anthropic.Anthropic, model: str, style: Style, question: str, tools: Sequence[ToolDefinition]
) -> Reply:
    """Ask one question in this style, with these tools' definitions; the SDK's exceptions are not caught."""
    if not style.native:
        signatures = [signature(tool) for tool in tools]
        request = few_shot(style.prompt, signatures, question)
        return send_text(client, model, style, tools, **request)
    request = {
        "system": prompts.render(style.prompt)["system"],
        "messages": [{"role": "user", "content": question}],
        "tools": tools,
    }
    if not style.grammar:
        return _send_unconstrained(model, **request)
    return send(client, model, **request)


def send(client: anthropic.Anthropic, model: str, **request: Any) -> Reply:
    """Send one request; the calls are the reply's tool_use blocks."""
    message = client.messages.create(model=model, max_tokens=MAX_TOKENS, **request)
    calls: list[Call] = []
    text = ""
    for block in message.content:
        if block.type == "tool_use":
            calls.append({"name": block.name, "input": block.input})
        elif block.type == "text":
            text += block.text
    return Reply(calls, text, input_tokens(message.usage), message.usage.output_tokens)


def send_text(
    client: anthropic.Anthropic, model: str, style: Style, tools: Sequence[ToolDefinition], **request: Any
) -> Reply:
    """Send one request, with a JSON schema if the style has one; the calls are those in the reply's text."""
    if style.schema:
        request["output_config"] = {"format": {"type": "json_schema", "schema": calls_schema(tools)}}
    reply = send(client, model, **request)
    return dataclasses.replace(reply, calls=calls_in(reply.text))


def _send_unconstrained(model: str, **request: Any) -> Reply:
    """The embedded model's reply with its adapter, but without the grammar."""
    engine = get_backend(load_settings(model=model)).engine
    fields = {"model": model, "max_tokens": MAX_TOKENS, **request, "tools": [*request["tools"]]}
    validated = validate_request(fields)
    conversation = Conversation.of(validated, validated.tools)
    prompt = engine.encode(conversation.render(engine.tokenizer))  # token ids
    generation = engine.generate(prompt, MAX_TOKENS, adapter=True)
    text = "".join(generation)
    calls = calls_in(text.replace('"arguments": ', '"input": '))  # the adapter's word for it
    return Reply(calls, text, len(prompt), generation.output_tokens)
