"""Prints the tools."""

from typing import Any

from shared.cli import Console
from shared.embedded.prompt import tools_as_text
from shared.embedded.wire import parse_tools


def show_tools(facts: dict[str, Any], _console: Console) -> None:
    """The tools in the words of the embedded model's system message."""
    print(tools_as_text(parse_tools(facts["tools"])))
