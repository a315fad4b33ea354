"""Makes the tools of any MCP server (Model Context Protocol) available to our loop.

    $ python -m step2_tools "Which files are here?" --mcp "npx @modelcontextprotocol/server-filesystem ."
    $ python -m step2_tools "What is the weather in Oslo?" --mcp http://127.0.0.1:8765/mcp

The official SDK speaks the protocol; this module protects us from untrusted servers. A foreign tool becomes
a `BetaFunctionTool`, the type that the loop takes. Its texts are sanitized and cut, its name can't replace
that of another tool, its first call needs a yes, calls have a time limit, and no call is sent twice. A
server started here runs with the user's rights, but without our keys: the SDK passes on PATH, HOME and few
other variables (`env NAME=value command` passes on more). A command that starts with `python` runs in the
Python that runs us: another one on PATH may lack the server's packages.

Source: https://modelcontextprotocol.io/specification/2026-07-28
"""

import json
import logging
import os
import re
import shlex
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
from anthropic.lib.tools import BetaFunctionTool, ToolError
from anyio.from_thread import BlockingPortal, start_blocking_portal
from jsonschema import Draft202012Validator
from mcp import Client, MCPError, StdioServerParameters, stdio_client, types
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CONNECTION_CLOSED

from shared.errors import UserError, reason
from step2_tools.agent.approval import Ask, NeedsApproval
from step2_tools.agent.loop import Tools
from step2_tools.agent.tool import TIME_LIMIT_S, cut, sanitize, visible

URL = re.compile(r"https?://")
PYTHON = re.compile(r"python[\d.]*")
LIMIT_S = TIME_LIMIT_S  # for each call, and for a server to start and list its tools
MAX_TOOLS = 64  # per server
MAX_SCHEMA = 8000  # characters of JSON
MAX_BYTES = 2_000_000  # of an HTTP response


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
    logging.getLogger("mcp").addHandler(logging.NullHandler())  # keeps a server's output off the terminal
    tools: list[NeedsApproval] = []
    connections: list[_Connection] = []
    with start_blocking_portal() as portal:
        try:
            for address in addresses:
                connection = _Connection(portal, address)
                connections.append(connection)
                origin = f"from {connection.label}; your answer applies to all calls of this tool"
                taken = {tool.name for tool in (*own, *tools)}
                for tool in connection.tools(taken):
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
        try:
            async with _transport(address) as transport, Client(transport, cache=None) as client:
                page = await client.list_tools()
                tools = page.tools
                while page.next_cursor and len(tools) <= MAX_TOOLS:
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
            UserError: the server can't be reached, or a tool can't be used.
        """
        problem = f"--mcp {self.label} cannot be used"
        try:
            client, offered = self._opened.result(LIMIT_S)
        except Exception as error:
            raise UserError(f"{problem}: {_explain(error)}") from None
        if len(offered) > MAX_TOOLS:
            raise UserError(f"{problem}: it offers more than {MAX_TOOLS} tools")
        server_name = client.server_info.name if client.server_info else ""
        prefix = re.sub(r"[^a-zA-Z0-9_-]+", "-", server_name)[:32]
        tools: list[BetaFunctionTool[Any]] = []
        names: set[str] = set()  # of `tools`
        for tool in offered:
            name = re.sub(r"[^a-zA-Z0-9_-]", "_", tool.name)[:64]
            if name in taken:
                name = f"{prefix or 'mcp'}__{name}"
            if not name or name in taken or name in names:
                raise UserError(f"{problem}: it offers a second tool named {name!r}")
            schema = _sanitize_schema(tool.input_schema)
            if not _is_usable(schema):
                allowed = f"must describe an object, in at most {MAX_SCHEMA} characters"
                raise UserError(f"{problem}: the input schema of {name!r} {allowed}")
            description = sanitize(tool.description or "", 1000) or name
            func = self._caller(name, tool.name)
            names.add(name)
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


@asynccontextmanager
async def _transport(address: str) -> AsyncIterator[Any]:
    """The transport for the SDK's Client: HTTP for a URL, or stdin and stdout of a new process."""
    if URL.match(address):
        hooks = {"response": [_limit_size]}
        async with httpx2.AsyncClient(timeout=LIMIT_S, event_hooks=hooks) as client:
            yield streamable_http_client(address, http_client=client)
        return
    words = shlex.split(address)
    if not words:
        raise ValueError("it is empty; name a command or a URL")
    command = sys.executable if PYTHON.fullmatch(words[0]) else words[0]
    with Path(os.devnull).open("w") as devnull:  # its stderr must not reach the terminal
        yield stdio_client(StdioServerParameters(command=command, args=words[1:]), errlog=devnull)


class _LimitedStream(httpx2.AsyncByteStream):
    """A response's bytes; raises an error after MAX_BYTES."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = MAX_BYTES
        async for piece in self._stream:
            left -= len(piece)
            if left < 0:
                raise httpx2.StreamError(f"more than {MAX_BYTES // 10**6} MB")
            yield piece

    async def aclose(self) -> None:
        await self._stream.aclose()


async def _limit_size(response: httpx2.Response) -> None:
    response.headers.pop("content-encoding", None)  # no decompression: few bytes can become gigabytes
    response.stream = _LimitedStream(response.stream)


def _is_usable(schema: Any) -> bool:
    """Whether the Messages API accepts the input schema; otherwise every request would fail."""
    valid = Draft202012Validator(Draft202012Validator.META_SCHEMA).is_valid(schema)
    return valid and schema.get("type") == "object" and len(json.dumps(schema)) <= MAX_SCHEMA


def _sanitize_schema(schema: Any) -> Any:
    """A schema with sanitized titles and descriptions, because the model reads them."""
    if isinstance(schema, list):
        return [_sanitize_schema(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    cleaned = {key: _sanitize_schema(value) for key, value in schema.items()}
    for key in ("title", "description"):
        text = schema.get(key)
        if isinstance(text, str):  # in `properties`, these can be names of arguments
            cleaned[key] = sanitize(text, 300)
    return cleaned


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
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, TimeoutError):
        return f"no answer within {LIMIT_S:g} s"
    if isinstance(error, MCPError) and error.code == CONNECTION_CLOSED:
        return "the server has ended; run it by hand to see what it says"
    return sanitize(reason(error), 200)
