"""Makes the tools of any MCP server (Model Context Protocol) available to our loop.

    $ python -m step2_tools "Which files are here?" --mcp "npx @modelcontextprotocol/server-filesystem ."
    $ python -m step2_tools "What is the weather in Oslo?" --mcp http://127.0.0.1:8765/mcp

The official SDK speaks the protocol; this module protects us from untrusted servers. A foreign tool becomes
a `BetaFunctionTool`, the type that the loop takes. Its texts are sanitized and cut, its name can't replace
that of another tool, its first call needs a yes, calls have a time limit, and no call is sent twice. A
server started here runs with the user's rights, but without our keys: the SDK passes on PATH, HOME and few
other variables (`env NAME=value command` passes on more).

Source: https://modelcontextprotocol.io/specification/2026-07-28
"""

from __future__ import annotations

import json
import logging
import os
import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from anthropic.lib.tools import BetaFunctionTool, ToolError

from shared.errors import UserError, reason
from step2_tools.agent.approval import Ask, NeedsApproval
from step2_tools.agent.loop import Tools
from step2_tools.agent.tool import TIME_LIMIT_S, cut, sanitize, visible

if TYPE_CHECKING:
    from anyio.from_thread import BlockingPortal
    from mcp import Client, types

URL = re.compile(r"https?://")
LIMIT_S = TIME_LIMIT_S  # for each call, and for a server to start and list its tools


@contextmanager
def connect(addresses: Sequence[str], own: Tools, ask: Ask) -> Iterator[list[NeedsApproval]]:
    """Connect to MCP servers (commands or URLs) and yield their tools; disconnect when the `with` block ends.

    The tools are listed once: later changes by the server never reach the model or the user's approval. The
    SDK is asynchronous and our loop is not, so the connections run in an event loop in their own thread.

    Args:
        own: our tools; a foreign tool with the same name is renamed to server__name.

    Raises:
        UserError: a server can't be started or reached, takes longer than LIMIT_S, doesn't speak MCP, or
            offers tools that can't be used.
    """
    if not addresses:
        yield []
        return
    import mcp  # noqa: F401 (takes a second; here it doesn't count against LIMIT_S)
    from anyio.from_thread import start_blocking_portal

    logging.getLogger("mcp").addHandler(logging.NullHandler())  # keeps a server's output off the terminal
    tools: list[NeedsApproval] = []
    connections: list[_Connection] = []
    with start_blocking_portal() as portal:
        try:
            for address in addresses:
                connections.append(_Connection(portal, address))
                origin = f"from {connections[-1].label}; your answer applies to all calls of this tool"
                for tool in connections[-1].tools({tool.name for tool in (*own, *tools)}):
                    tools.append(NeedsApproval(tool, ask, once=True, origin=origin))
            yield tools
        finally:
            for connection in connections:
                connection.close()


class _Connection:
    """A connection to a server, open until `close`."""

    def __init__(self, portal: BlockingPortal, address: str) -> None:
        secret = r"(?<=//)[^/]*@|[?#].*" if URL.match(address) else "$^"  # a password, a key
        self.label = sanitize(re.sub(secret, "", address))
        self._portal = portal
        self._opened: Future[tuple[Client, list[types.Tool]]] = Future()
        self._running = portal.start_task_soon(self._run, address)

    async def _run(self, address: str) -> None:
        import anyio
        from mcp import Client

        try:
            with Path(os.devnull).open("w") as devnull:  # a server's stderr must not reach the terminal
                async with Client(_transport(address, devnull), cache=None) as client:
                    page = await client.list_tools()
                    tools = page.tools
                    while page.next_cursor:
                        page = await client.list_tools(cursor=page.next_cursor)
                        tools += page.tools
                    self._opened.set_result((client, tools))
                    await anyio.sleep_forever()
        except Exception as error:
            if not self._opened.done():  # otherwise the next call reports that the server has ended
                self._opened.set_exception(error)

    def tools(self, taken: set[str]) -> list[BetaFunctionTool[Any]]:
        """The server's tools, under names that are not `taken` and that the Messages API allows.

        Raises:
            UserError: the server can't be reached, or two of its tools would have the same name.
        """
        problem = f"--mcp {self.label} cannot be used"
        try:
            client, offered = self._opened.result(LIMIT_S)
        except Exception as error:
            raise UserError(f"{problem}: {_explain(error)}") from None
        prefix = re.sub(r"[^a-zA-Z0-9_-]+", "-", client.server_info.name if client.server_info else "")[:32]
        tools: list[BetaFunctionTool[Any]] = []
        for tool in offered:
            name = re.sub(r"[^a-zA-Z0-9_-]", "_", tool.name)[:64]
            if name in taken:
                name = f"{prefix or 'mcp'}__{name}"
            if not name or name in {*taken, *(each.name for each in tools)}:
                raise UserError(f"{problem}: it offers a second tool named {name!r}")
            schema = _sanitize_schema(tool.input_schema)
            description = sanitize(tool.description or "", 1000) or name
            func = self._caller(name, tool.name)
            tools.append(BetaFunctionTool(func, name=name, description=description, input_schema=schema))
        return tools

    def _caller(self, name: str, server_name: str) -> Callable[..., str]:
        """The function for a tool (`server_name` on the server). The server checks the arguments.

        It raises ToolError if the tool fails, or if the server doesn't answer in time or has ended.
        """

        def call(**arguments: Any) -> str:
            if self._running.done():
                raise ToolError(f"{name} cannot run: its server has ended")
            client, _tools = self._opened.result()
            # The session's call_tool, since the client's own one retries some calls.
            answer = self._portal.start_task_soon(client.session.call_tool, server_name, arguments)
            try:
                result = answer.result(LIMIT_S)
            except TimeoutError:
                self.close()  # a server that hangs, or never stops sending, gets no further call
                raise ToolError(f"{name} took longer than {LIMIT_S:g} s; its server was stopped") from None
            except Exception as error:
                raise ToolError(f"{name} failed: {_explain(error)}") from None
            finally:
                answer.cancel()
            if result.is_error:
                raise ToolError(_text(result) or f"{name} failed")
            return _text(result)

        return call

    def close(self) -> None:
        """Stop the server; the portal waits until it has ended."""
        self._running.cancel()


def _transport(address: str, errlog: TextIO) -> Any:
    """The transport for the SDK's Client: HTTP for a URL, or stdin and stdout of a new process."""
    from mcp import StdioServerParameters, stdio_client
    from mcp.client.streamable_http import streamable_http_client

    if URL.match(address):
        return streamable_http_client(address)
    words = shlex.split(address)
    if not words:
        raise ValueError("it is empty; name a command or a URL")
    return stdio_client(StdioServerParameters(command=words[0], args=words[1:]), errlog=errlog)


def _sanitize_schema(schema: Any) -> Any:
    """A schema with sanitized titles and descriptions, because the model reads them."""
    if isinstance(schema, list):
        return [_sanitize_schema(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    texts = {key: schema[key] for key in ("title", "description") if isinstance(schema.get(key), str)}
    texts = {key: sanitize(text, 300) for key, text in texts.items()}
    return {key: _sanitize_schema(value) for key, value in schema.items()} | texts


def _text(result: types.CallToolResult) -> str:
    """A result as text, cut, and without invisible characters; other kinds of content are only named."""
    texts = [
        block.text if block.type == "text" else f"[{block.type} left out: only text is read]"
        for block in result.content
    ]
    if not texts and result.structured_content is not None:
        texts = [json.dumps(result.structured_content, ensure_ascii=False)]
    return visible(cut("\n".join(texts)))


def _explain(error: BaseException) -> str:
    """Why a server can't be used or a call failed, in a few words."""
    from mcp import MCPError
    from mcp.types import CONNECTION_CLOSED

    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, TimeoutError):
        return f"no answer within {LIMIT_S:g} s"
    if isinstance(error, MCPError) and error.code == CONNECTION_CLOSED:
        return "the server has ended; run it by hand to see what it says"
    return sanitize(reason(error), 200)
