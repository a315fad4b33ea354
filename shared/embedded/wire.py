"""The requests that the embedded model accepts: the part of the Messages API that it supports.

    >>> body = {"model": "tiny", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
    >>> validate_request(body).messages[0].content[0].text
    'Hi'
    >>> validate_request(body | {"messages": [{"role": "assistant", "content": "Hi"}]})
    Refused: messages.0: first message must use the "user" role

A request becomes a `MessagesRequest` once; the other modules read its fields. Content is always a list of
blocks there, also where the client sent a string.

These types leave out what the model doesn't support (images, thinking, stop sequences), so a request that has
it is refused with an error that names it; nothing is ignored silently. `cache_control` and `strict` are
accepted: the engine always caches, and always enforces the tools' schemas.

Source: https://docs.claude.com/en/api/messages
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError

from shared.validation import first_problem

Schema = dict[str, Any]  # a JSON schema; guide.py says which ones can be enforced


class Refused(Exception):
    """A request is refused: the message, the HTTP status, and the error type as the API names it."""

    def __init__(self, message: str, status: int = 400, kind: str = "invalid_request_error") -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind


# --- content ----------------------------------------------------------------------------------------------


class _Wire(BaseModel):
    """A JSON object of the API; a field that it doesn't name is an error."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class _Cacheable(_Wire):
    cache_control: Any = None  # accepted, and without effect


class TextBlock(_Cacheable):
    """A piece of text."""

    type: Literal["text"]
    text: str = Field(min_length=1)
    citations: None = None


def _as_blocks(content: Any) -> Any:
    """Content as blocks: a string is one text block, or none if it is empty."""
    if not isinstance(content, str):
        return content
    return [{"type": "text", "text": content}] if content else []


Id = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_-]+$")]
ToolName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_-]{1,128}$")]
Texts = Annotated[list[TextBlock], BeforeValidator(_as_blocks)]


class ToolUseBlock(_Cacheable):
    """A tool call in an assistant's message."""

    type: Literal["tool_use"]
    id: Id
    name: str
    input: dict[str, Any]  # the arguments
    caller: None = None


class ToolResultBlock(_Cacheable):
    """What a tool returned, in the user's message after the call."""

    type: Literal["tool_result"]
    tool_use_id: Id
    content: Texts = Field(default_factory=list)
    is_error: bool = False


Block = Annotated[TextBlock | ToolUseBlock | ToolResultBlock, Field(discriminator="type")]


class Message(_Wire):
    """One message of a conversation."""

    role: Literal["user", "assistant", "system"]
    content: Annotated[list[Block], BeforeValidator(_as_blocks)]


# --- tools and output -------------------------------------------------------------------------------------


class InputSchema(BaseModel):
    """The JSON schema of a tool's arguments: an object; further keywords are kept as they are."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True)

    type: Literal["object"]
    properties: dict[str, Any] = Field(default_factory=dict)  # the arguments' schemas, by name
    required: list[str] = Field(default_factory=list)

    def as_json(self) -> Schema:
        """The schema as the client sent it."""
        return self.model_dump(exclude_unset=True)


class ToolDefinition(_Cacheable):
    """A tool that the model may call."""

    type: Literal["custom"] | None = None
    name: str  # in training data, any name
    description: str = ""
    input_schema: InputSchema
    strict: bool | None = None  # accepted, and without effect: schemas are always enforced


class RequestedTool(ToolDefinition):
    """A tool in a request: the API limits its name."""

    name: ToolName


class ToolChoice(_Wire):
    """Whether and how often the model calls tools."""

    type: Literal["auto", "any", "tool", "none"]  # `any`: at least once; `tool`: only the named one
    name: str | None = None
    disable_parallel_tool_use: bool = False  # at most one call in an answer

    @property
    def is_forced(self) -> bool:
        """Whether the answer must have a call."""
        return self.type in ("any", "tool")


class OutputFormat(_Wire):
    """JSON that fits a schema."""

    type: Literal["json_schema"]
    schema_: Schema = Field(alias="schema")  # BaseModel has a method `schema`


class OutputConfig(_Wire):
    """What the answer's text must look like."""

    format: OutputFormat | None = None


# --- the request ------------------------------------------------------------------------------------------


class MessagesRequest(_Cacheable):
    """The body of POST /v1/messages."""

    model: str = Field(min_length=1)
    max_tokens: int = Field(ge=1)
    messages: list[Message] = Field(min_length=1)
    system: Texts = Field(default_factory=list)
    tools: list[RequestedTool] = Field(default_factory=list)
    tool_choice: ToolChoice | None = None
    output_config: OutputConfig | None = None
    stream: bool = False  # events, instead of one message

    @property
    def output_schema(self) -> Schema | None:
        """The schema that the answer's text must fit, if any."""
        if self.output_config is None or self.output_config.format is None:
            return None
        return self.output_config.format.schema_

    @property
    def offered_tools(self) -> Sequence[ToolDefinition]:
        """The tools that this answer may call."""
        is_forbidden = self.tool_choice is not None and self.tool_choice.type == "none"
        return [] if is_forbidden else self.tools


def validate_request(body: Any) -> MessagesRequest:
    """The request in a body, which is the JSON posted to /v1/messages.

    Raises:
        Refused: it is not valid, with status 400; the message names the field.
    """
    if not isinstance(body, dict):
        raise Refused("the request must be a JSON object")
    try:
        request = MessagesRequest.model_validate(body)
    except ValidationError as error:
        problem = first_problem(error)
        message = problem.message.partition(" or instance of ")[0]  # leaves out the name of a Python class
        raise Refused(f"{problem.place}: {message}") from None
    problem = next(_broken_rules(request), None)
    if problem:
        raise Refused(problem)
    return request


def parse_tools(tools: Iterable[Mapping[str, Any]]) -> list[ToolDefinition]:
    """Tools from their JSON, whatever their names.

    Raises:
        pydantic.ValidationError: one of them is not valid.
    """
    return [ToolDefinition.model_validate(tool) for tool in tools]


# --- rules over several fields ----------------------------------------------------------------------------


def _broken_rules(request: MessagesRequest) -> Iterator[str]:
    """Violations of rules that types can't express."""
    names = [tool.name for tool in request.tools]
    if len(names) > len(set(names)):
        yield "tools: Tool names must be unique."
    choice = request.tool_choice
    if choice and choice.type != "none" and not names:
        yield "tool_choice: may only be specified while providing tools"
    if choice and choice.type == "tool" and choice.name not in names:
        yield f"tool_choice.name: Tool {choice.name!r} not found in provided tools"
    for schema in _objects(request.output_schema):
        if schema.get("type") == "object" and schema.get("additionalProperties") is not False:
            where = "output_config.format.schema"
            yield f"{where}: For 'object' type, 'additionalProperties' must be explicitly set to false"
    yield from _broken_turns(request.messages)


def _broken_turns(messages: list[Message]) -> Iterator[str]:
    """Violations of the rules for turns: the first one's role, the blocks of each, and one result per call.

    Source: https://docs.claude.com/en/docs/agents-and-tools/tool-use/implement-tool-use
    """
    if messages[0].role != "user":
        yield 'messages.0: first message must use the "user" role'
    pending: list[str] = []  # ids of calls whose results must start the next message
    for i, message in enumerate(messages):
        calls = [block.id for block in message.content if isinstance(block, ToolUseBlock)]
        results = [block.tool_use_id for block in message.content if isinstance(block, ToolResultBlock)]
        if (calls and message.role != "assistant") or (results and message.role != "user"):
            yield f"messages.{i}: `tool_use` is for the assistant's turns, `tool_result` for the user's"
        is_empty_prefill = message.role == "assistant" and i == len(messages) - 1
        if not message.content and not is_empty_prefill:
            yield f"messages.{i}: all messages must have non-empty content"
        head = message.content[: len(pending)]
        results_come_first = all(isinstance(block, ToolResultBlock) for block in head)
        if sorted(results) != sorted(pending) or not results_come_first:
            called = ", ".join(pending) or "none"
            answered = ", ".join(results) or "none"
            yield (
                f"messages.{i}: `tool_use` ids ({called}) and the ids of the `tool_result` blocks at the "
                f"start of the next message ({answered}) must be the same"
            )
        pending = calls
    if pending:
        yield f"messages: `tool_use` ids without `tool_result` blocks after them: {', '.join(pending)}"


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    """Every JSON object inside a value, and the value itself if it is one."""
    children: Iterable[Any] = ()
    if isinstance(value, dict):
        yield value
        children = value.values()
    elif isinstance(value, list):
        children = value
    for child in children:
        yield from _objects(child)
