"""The interface between the API and what answers: a Query goes in, an Answered comes out.

    answerer: Answerer = ScriptedAnswerer()  # rag/scripted.py: no model; for tests and measuring
    answerer: Answerer = RagAnswerer(...)  # rag/answers.py: step 3's retrieval and a chat model
    answered = await answerer.answer(Query(question="When does it renew?"), write=print)

The routes know only this file, so the API can be tested, and its own speed measured, without a model. A
question that can't be answered raises an `ApiError` (errors.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Protocol

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

LONGEST = 2000  # characters of a question

# Python strips more characters (\x1c) than pydantic's strip_whitespace; step 3 does it like Python.
Question = Annotated[
    str,
    StringConstraints(min_length=1, max_length=LONGEST),
    BeforeValidator(lambda text: text.strip() if isinstance(text, str) else text),
]
Collection = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]


class Query(BaseModel):
    """A question as it is posted to /query."""

    model_config = ConfigDict(
        extra="forbid",  # so that a misspelt field is an error
        json_schema_extra={
            "examples": [
                {"question": "What are the contract renewal terms?"},
                {"question": "How long is the notice period?", "collection": "contracts", "k": 3},
            ]
        },
    )

    question: Question = Field(description="One question, in plain words.")
    collection: Collection | None = Field(None, description="Search only this part of the documents.")
    k: int = Field(5, ge=1, le=20, description="How many passages to find at most.")
    prompt_version: int | None = Field(
        None, ge=1, le=1_000_000, description="Of the answer's prompt; default: the server chooses."
    )
    reader: Literal["auto", "chat", "quote"] = Field(
        "auto", description="chat: the model writes; quote: sentences word for word; auto: the server's."
    )


@dataclass(frozen=True, slots=True)
class Source:
    """A passage for the answer, which cites it by its `number`: [1]."""

    number: int
    document: str  # its path below the collection's folder: contracts/supply-brightwell.md
    place: str  # a heading or page in it
    text: str
    chunk: int  # its number in the index
    sha256: str  # of the text, for replays


@dataclass(frozen=True, slots=True)
class Attempt:
    """One search; `took` marks the one whose passages were used."""

    strategy: str  # question (as asked), spelling, meaning, hyde ...
    query: str
    confidence: float | None
    took: bool = True
    start_ms: float | None = None  # after the start of the answer, in a row of the call; None: not timed
    retrieve_ms: float | None = None
    rerank_ms: float | None = None


@dataclass(frozen=True, slots=True)
class PromptRef:
    """A prompt as each call stores it; `text` is the whole template."""

    id: str
    version: int
    sha256: str
    text: str

    @property
    def label(self) -> str:
        """Its short name, like answer/1@ab12cd34."""
        return f"{self.id}/{self.version}@{self.sha256[:8]}"


@dataclass(slots=True, kw_only=True)
class Retrieved:
    """The result of the search, known before the first word of the answer."""

    sources: list[Source] = field(default_factory=list)
    confidence: float | None = None  # None: unknown
    attempts: list[Attempt] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Answered(Retrieved):
    """An answer with everything that telemetry and replays need."""

    text: str
    abstained: bool = False
    input_tokens: int | None = None  # None: unknown; 0: no model read anything
    output_tokens: int | None = None
    latency_ms: dict[str, float] = field(default_factory=dict)  # of retrieve, rerank, generate
    prompt: PromptRef | None = None  # None: a quote has none
    model: str = ""
    engine: str = ""
    finish_reason: str | None = None  # end_turn, max_tokens ...; None: no model wrote
    parameters: dict[str, Any] = field(default_factory=dict)  # for a replay: k, collection, reader ...


Write = Callable[[str], None]
Tell = Callable[[Retrieved], None]


def nothing(_: object) -> None:
    """The default for Write and Tell."""


class Answerer(Protocol):
    """What answers questions. Its methods run in the event loop; whatever blocks belongs in a thread."""

    model: str
    engine: str

    @property
    def library(self) -> Any:
        """The documents (rag/library.py), or None."""
        ...

    async def answer(
        self, query: Query, write: Write = nothing, tell: Tell = nothing, trace_id: str = ""
    ) -> Answered:
        """Answer; `tell` gets the search result, then `write` the text in pieces, both in the loop's thread.

        The trace id decides the prompt's version if the query names none. Cancelling the task stops the model
        at the next token.

        Raises:
            ApiError: it can't be answered.
        """
        ...

    async def ready(self) -> str | None:
        """None, or why it can't answer now."""
        ...

    async def close(self) -> None:
        """Close models, threads and connections."""
        ...
