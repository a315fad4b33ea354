"""The seam between the API and what answers: a Query goes in, an Answered comes out.

    answerer: Answerer = ScriptedAnswerer()  # rag/scripted.py: no model; for tests and measuring
    answerer: Answerer = RagAnswerer(...)  # rag/answers.py: step 3's retrieval and a chat model
    answered = await answerer.answer(Query(question="When does it renew?"), write=print)

The routes know nothing but this file, so that whatever answers can be swapped: the API is tested without a
model, and its own speed measured without one. What can't be answered is an `ApiError` (errors.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

LONGEST = 2000  # characters of a question

Question = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST)]
# One line that a file system and a shell can bear; step 3 decides whether there is such a collection.
Collection = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]


class Query(BaseModel):
    """A question as it is posted to /query."""

    model_config = ConfigDict(
        extra="forbid",  # a misspelt field is an error, not a default taken in silence
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
        None, ge=1, le=1_000_000, description="Of the answer's prompt; left out: the server chooses."
    )
    reader: Literal["auto", "chat", "quote"] = Field(
        "auto", description="chat: the model writes; quote: sentences word for word; auto: the server's."
    )


@dataclass(frozen=True, slots=True)
class Source:
    """A passage the answer is made from; `number` is what a citation [1] means."""

    number: int
    document: str  # its path below the collection's folder: contracts/supply-brightwell.md
    place: str  # where in it: a heading, a page
    text: str
    chunk: int  # the index's own number
    sha256: str  # of the text: whether a replay has the same passages


@dataclass(frozen=True, slots=True)
class Attempt:
    """One search; `took` is the one whose passages were used."""

    strategy: str  # question (as it was asked), spelling, meaning, hyde ...
    query: str
    confidence: float | None
    took: bool = True
    start_ms: float | None = None  # after the answerer began; in a row, after the call came; None: not timed
    retrieve_ms: float | None = None
    rerank_ms: float | None = None


@dataclass(frozen=True, slots=True)
class PromptRef:
    """Which prompt was used; `text` is the template, which each call's row keeps."""

    id: str
    version: int
    sha256: str
    text: str

    @property
    def label(self) -> str:
        """As replies and tables name it: answer/1@ab12cd34."""
        return f"{self.id}/{self.version}@{self.sha256[:8]}"


@dataclass(slots=True, kw_only=True)
class Retrieved:
    """What the search gave, known before the first word of the answer."""

    sources: list[Source] = field(default_factory=list)
    confidence: float | None = None  # None: unknown
    attempts: list[Attempt] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Answered(Retrieved):
    """An answer with everything that telemetry and a replay need."""

    text: str
    abstained: bool = False
    input_tokens: int | None = None  # None: unknown; 0: no model read anything
    output_tokens: int | None = None
    latency_ms: dict[str, float] = field(default_factory=dict)  # of retrieve, rerank, generate
    prompt: PromptRef | None = None  # None: no prompt took part (a quote)
    model: str = ""
    engine: str = ""
    finish_reason: str | None = None  # end_turn, max_tokens ...; None: no model wrote
    # All it takes to make the call again: k, collection, reader, strategies, threshold, budget, max_tokens.
    parameters: dict[str, Any] = field(default_factory=dict)


Write = Callable[[str], None]
Tell = Callable[[Retrieved], None]


def nothing(_: object) -> None:
    """For whoever doesn't listen."""


class Answerer(Protocol):
    """What answers questions. Everything runs in the event loop; what blocks belongs into a thread."""

    model: str
    engine: str

    @property
    def library(self) -> Any:
        """What keeps the documents (rag/library.py); None: nothing does."""
        ...

    async def answer(self, query: Query, write: Write = nothing, tell: Tell = nothing) -> Answered:
        """Answer; `tell` gets what was found, then `write` the text in pieces, both in the loop's thread.

        Cancelling the task stops the model at the next token.

        Raises:
            ApiError: it can't be answered.
        """
        ...

    async def again(
        self, query: Query, sources: list[Source], prompt: PromptRef | None, parameters: dict[str, Any]
    ) -> Answered:
        """The generation alone, from given passages and a given prompt (None: quote). For replays."""
        ...

    def pick(self, trace_id: str) -> int | None:
        """The version of the prompt that a call of this trace gets; None where there is none to choose."""
        ...

    async def ready(self) -> str | None:
        """None, or why it can't answer yet."""
        ...

    async def close(self) -> None:
        """Let go of models, threads, connections."""
        ...
