"""Serves our tools to any client of the Model Context Protocol (MCP).

    $ python -m step2_tools mcp                            on stdin and stdout, for a client that starts it
    $ python -m step2_tools mcp --http --port 8765         at http://127.0.0.1:8765/mcp

    {"mcpServers": {"step2": {"command": "python", "args": ["-m", "step2_tools", "mcp"]}}}

The official SDK speaks the protocol: revision 2026-07-28, which has no sessions (`server/discover` describes
the server, every request is independent), and older revisions, which have a handshake. Our tools already have
all parts of an MCP tool: name, description, JSON schema, and a function that returns text or an error.

Source: https://modelcontextprotocol.io/specification/2026-07-28
"""

import socket
import sys
from typing import Any

import anyio
import anyio.to_thread
import uvicorn
from anthropic.types import ToolUseBlockParam
from mcp import types
from mcp.server import Server
from mcp.server.stdio import stdio_server

from shared.errors import UserError, reason
from step2_tools.agent import loop


def server(tools: loop.Tools) -> Server:
    """An MCP server with these tools; calls run as in the loop, including their errors."""
    offered = [
        types.Tool(name=tool.name, description=tool.description, input_schema=dict(tool.input_schema))
        for tool in tools
    ]

    async def list_tools(_context: Any, _params: Any) -> types.ListToolsResult:
        return types.ListToolsResult(tools=offered)

    async def call_tool(_context: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
        call = ToolUseBlockParam(type="tool_use", id="", name=params.name, input=params.arguments or {})
        result = await anyio.to_thread.run_sync(loop.answer, call, tools)
        text = types.TextContent(type="text", text=str(result.get("content", "")))
        return types.CallToolResult(content=[text], is_error=result.get("is_error", False))

    return Server("step2_tools", on_list_tools=list_tools, on_call_tool=call_tool)


def serve_stdio(tools: loop.Tools) -> None:
    """Serve the client that started this process, until it closes stdin."""

    async def serve() -> None:
        ours = server(tools)
        async with stdio_server() as (read, write):  # redirects prints to stderr meanwhile
            await ours.run(read, write, ours.create_initialization_options())

    try:
        anyio.run(serve)
    except* BrokenPipeError:  # the client ended without closing stdin first
        pass


def serve_http(tools: loop.Tools, port: int) -> None:
    """Serve programs on this machine until Ctrl-C; the SDK refuses requests from web pages (DNS rebinding).

    Raises:
        UserError: the port can't be used.
    """
    try:
        listening = socket.create_server(("127.0.0.1", port))
    except (OSError, OverflowError) as error:
        raise UserError(f"--port {port} cannot be used ({reason(error)}): use another, or 0") from None
    address = f"http://127.0.0.1:{listening.getsockname()[1]}/mcp"
    print(f"{len(tools)} tools at {address}; Ctrl-C ends", file=sys.stderr, flush=True)
    app = server(tools).streamable_http_app(stateless_http=True, json_response=True)
    uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listening])
