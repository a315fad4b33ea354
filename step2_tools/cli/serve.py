"""Serves the tools to clients of the Model Context Protocol."""

from step2_tools.agent import mcp_server
from step2_tools.tools import build


def serve_tools(offline: bool, port: int | None) -> None:
    """Serve over HTTP on this port, or without a port on stdin and stdout, until the client or user ends it.

    Raises:
        UserError: the port can't be used.
    """
    tools = build(offline)
    if port is None:
        mcp_server.serve_stdio(tools)
    else:
        mcp_server.serve_http(tools, port)
