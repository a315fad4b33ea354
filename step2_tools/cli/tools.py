"""The assistant's tools, as a request has them and as the embedded model reads them."""

from dataclasses import dataclass

from shared.cli import Console
from shared.embedded.prompt import tools_as_text
from shared.embedded.wire import parse_tools
from step2_tools.cli.setup import tool_definitions
from step2_tools.evaluate.questions import ToolDefinition


@dataclass(frozen=True)
class ToolsReport:
    """The definitions of the tools: name, description, input_schema."""

    command: str
    headline: str
    tools: list[ToolDefinition]  # as in a request of the Messages API


def describe_tools() -> ToolsReport:
    """Make the definitions from the tools' signatures and docstrings."""
    tools = tool_definitions()
    return ToolsReport(
        command="step2_tools tools",
        headline=", ".join(tool["name"] for tool in tools),
        tools=tools,
    )


def show(report: ToolsReport, _console: Console) -> None:
    """Print the tools in the words of the embedded model's system message."""
    print(tools_as_text(parse_tools(report.tools)))
