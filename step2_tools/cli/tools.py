"""The assistant's tools, as a request has them and as the embedded model reads them."""

from dataclasses import dataclass
from typing import Any

from shared.cli import Console
from shared.embedded.prompt import tools_as_text
from shared.embedded.wire import parse_tools
from step2_tools.tools import build


@dataclass(frozen=True)
class ToolsReport:
    """The definitions of the tools: name, description, input_schema."""

    command: str
    headline: str
    tools: list[dict[str, Any]]  # as in a request of the Messages API


def describe_tools() -> ToolsReport:
    """Make the definitions from the tools' signatures and docstrings."""
    tools = build(offline=True)
    return ToolsReport(
        command="step2_tools tools",
        headline=", ".join(tool.name for tool in tools),
        tools=[{**tool.to_dict()} for tool in tools],
    )


def show(report: ToolsReport, _console: Console) -> None:
    """Print the tools in the words of the embedded model's system message."""
    print(tools_as_text(parse_tools(report.tools)))
