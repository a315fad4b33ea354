"""The requests that the embedded model accepts: the part of the Messages API that it supports.

    >>> body = {"model": "tiny", "max_tokens": 9}
    >>> validate_request(body | {"messages": [{"role": "assistant", "content": "Hi"}]})
    'messages.0: first message must use the "user" role'
    >>> validate_request(body | {"messages": [{"role": "user", "content": "Hi"}]})

These types leave out what the model doesn't support (images, thinking, stop sequences), so a request that has
it is refused with an error that names it; nothing is ignored silently. `cache_control` and `strict` are
accepted: the engine always caches, and always enforces the tools' schemas.

Source: https://docs.claude.com/en/api/messages
"""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError


class Refused(Exception):
    """A request is refused: the message, the HTTP status, and the error type as the API names it."""

    def __init__(self, message: str, status: int = 400, kind: str = "invalid_request_error") -> None:
        super().__init__(message)
        self.status, self.kind = status, kind


class _Wire(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")


class _Cached(_Wire):
    cache_control: Any = None


class _Text(_Cached):
    type: Literal["text"]
    text: str = Field(min_length=1)
    citations: None = None


def as_blocks(content: Any) -> Any:
    """Content as blocks: a string is one text block, or none if it is empty."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    return content


_Id = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_-]+$")]
_Name = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_-]{1,128}$")]
_Texts = Annotated[list[_Text], BeforeValidator(as_blocks)]


class _ToolUse(_Cached):
    type: Literal["tool_use"]
    id: _Id
    name: str
    input: dict[str, Any]
    caller: None = None


class _ToolResult(_Cached):
    type: Literal["tool_result"]
    tool_use_id: _Id
    content: _Texts = Field(default_factory=list)
    is_error: bool = False


_Block = Annotated[_Text | _ToolUse | _ToolResult, Field(discriminator="type")]


class _Message(_Wire):
    role: Literal["user", "assistant", "system"]
    content: Annotated[list[_Block], BeforeValidator(as_blocks)]


class _InputSchema(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")

    type: Literal["object"]
    properties: dict[str, Any] = Field(default_factory=dict)
    required: list[str] = Field(default_factory=list)


class _Tool(_Cached):
    type: Literal["custom"] | None = None
    name: _Name
    description: str = ""
    input_schema: _InputSchema
    strict: bool | None = None


class _ToolChoice(_Wire):
    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool = False


class _Format(_Wire):
    type: Literal["json_schema"]
    schema_: dict[str, Any] = Field(alias="schema")


class _OutputConfig(_Wire):
    format: _Format | None = None


class _Request(_Cached):
    model: str = Field(min_length=1)
    max_tokens: int = Field(ge=1)
    messages: list[_Message] = Field(min_length=1)
    system: _Texts = Field(default_factory=list)
    tools: list[_Tool] = Field(default_factory=list)
    tool_choice: _ToolChoice | None = None
    output_config: _OutputConfig | None = None
    stream: bool = False


def validate_request(body: Any) -> str | None:
    """Why this body, the JSON posted to /v1/messages, gets status 400; None if it is valid."""
    if not isinstance(body, dict):
        return "the request must be a JSON object"
    try:
        request = _Request.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        message = first["msg"].partition(" or instance of ")[0]  # leaves out the name of a private class
        return f"{'.'.join(map(str, first['loc']))}: {message}"
    return next(_broken_rules(request), None)


def _broken_rules(request: _Request) -> Iterator[str]:
    """Violations of rules that types can't express."""
    names = [tool.name for tool in request.tools]
    if len(names) > len(set(names)):
        yield "tools: Tool names must be unique."
    choice = request.tool_choice
    if choice and choice.type != "none" and not names:
        yield "tool_choice: may only be specified while providing tools"
    if choice and choice.type == "tool" and choice.name not in names:
        yield f"tool_choice.name: Tool {choice.name!r} not found in provided tools"
    output = request.output_config.format if request.output_config else None
    for schema in _objects(output.schema_ if output else None):
        if schema.get("type") == "object" and schema.get("additionalProperties") is not False:
            where = "output_config.format.schema"
            yield f"{where}: For 'object' type, 'additionalProperties' must be explicitly set to false"
    yield from _broken_turns(request.messages)


def _broken_turns(messages: list[_Message]) -> Iterator[str]:
    """Violations of the rules for turns: the first one's role, the blocks of each, and one result per call.

    Source: https://docs.claude.com/en/docs/agents-and-tools/tool-use/implement-tool-use
    """
    if messages[0].role != "user":
        yield 'messages.0: first message must use the "user" role'
    pending: list[str] = []  # ids of calls whose results must start the next message
    for i, message in enumerate(messages):
        calls = [block.id for block in message.content if isinstance(block, _ToolUse)]
        results = [block.tool_use_id for block in message.content if isinstance(block, _ToolResult)]
        if (calls and message.role != "assistant") or (results and message.role != "user"):
            yield f"messages.{i}: `tool_use` is for the assistant's turns, `tool_result` for the user's"
        if not message.content and not (message.role == "assistant" and i == len(messages) - 1):
            yield f"messages.{i}: all messages must have non-empty content"
        head = message.content[: len(pending)]
        if sorted(results) != sorted(pending) or not all(isinstance(each, _ToolResult) for each in head):
            called, answered = (", ".join(ids) or "none" for ids in (pending, results))
            yield (
                f"messages.{i}: `tool_use` ids ({called}) and the ids of the `tool_result` blocks at the "
                f"start of the next message ({answered}) must be the same"
            )
        pending = calls
    if pending:
        yield f"messages: `tool_use` ids without `tool_result` blocks after them: {', '.join(pending)}"


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    """Every JSON object inside a value, and the value itself if it is one."""
    if isinstance(value, dict):
        yield value
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _objects(each)
