"""Your own tool, complete: a function, the tool made from it, and the loop that lets a model call it.

    python -m step2_tools.own_tool "Where is Ada's office?"     one question
    python -m step2_tools.own_tool --serve                      the same tool as an MCP server (chapter 8)

Copy this file and replace `find_office` with your function: lessons/05-your-own-tool.md.
"""

import json
from typing import Annotated

import typer
from anthropic.lib.tools import ToolError
from anthropic.types import MessageParam

from shared.chat.client import chat_client
from shared.config import load_settings
from shared.launch import run_main
from step2_tools.agent import loop
from step2_tools.agent.answer import OWN_WORDS, guard, looked_up
from step2_tools.agent.tool import FunctionTool, show_tracebacks

OFFICES = {"Ada": 214, "Grace": 107, "Linus": 3}
SYSTEM = "You are at the reception desk of a small firm. Answer in one sentence."


def find_office(name: str) -> str:
    """Find the office of a colleague.

    Args:
        name: First name of the colleague, e.g. Ada.
    """
    room = OFFICES.get(name.capitalize())
    if room is None:
        raise ToolError(f"there is no colleague {name!r}: known are {', '.join(OFFICES)}")
    return json.dumps({"summary": f"The office of {name} is room {room}.", "room": room})


def main(
    question: Annotated[str, typer.Argument(help="What to ask.")] = "Find the office of Grace",
    serve: Annotated[bool, typer.Option("--serve", help="Serve the tool over MCP instead.")] = False,
    trace: Annotated[bool, typer.Option("--trace", help="Show where in the tool an error arose.")] = False,
) -> None:
    """Answer a question with the tool, and show its calls."""
    show_tracebacks(trace)
    tools = [FunctionTool(find_office)]
    if serve:
        from step2_tools.agent import mcp_server  # takes a second, which a question need not wait

        mcp_server.serve_stdio(tools)
        return
    model = load_settings().model
    messages: list[MessageParam] = [{"role": "user", "content": question}]
    done = loop.run(chat_client(model), model, tools, messages, system=SYSTEM)
    for call in done.calls:
        print(f"{call.tool}({json.dumps(call.input)}) -> {call.result}")
    if not looked_up(done.calls):
        print(OWN_WORDS)
    print(guard(done.text, done.calls, tools).text)


if __name__ == "__main__":
    run_main(main, "python -m step2_tools.own_tool")
