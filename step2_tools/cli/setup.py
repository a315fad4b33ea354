"""What the commands that measure need: a client, the assistant's tools, its system message."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anthropic

from shared import prompts
from shared.chat.client import chat_client
from shared.chat.errors import one_line_errors, with_timeouts
from shared.config import Settings
from step2_tools.cli.prompts import load_prompt
from step2_tools.evaluate.questions import ToolDefinition
from step2_tools.tools import build


@contextmanager
def connect(settings: Settings) -> Iterator[anthropic.Anthropic]:
    """A client whose errors are one line."""
    client = with_timeouts(chat_client(settings.model, settings))
    with one_line_errors(settings.model, settings):
        yield client


def tool_definitions() -> list[ToolDefinition]:
    """The assistant's tools as in a request."""
    definitions: list[Any] = [{**tool.to_dict()} for tool in build(offline=True)]  # the SDK has its own type
    return definitions


def system_message(settings: Settings) -> str:
    """The assistant's system message."""
    return prompts.render(load_prompt("assistant", settings.model))["system"]
