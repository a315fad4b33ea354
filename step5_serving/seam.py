"""A Query goes in, its Call (telemetry) is filled in: the seam between the API and an answerer.

    answerer = ScriptedAnswerer()  # rag/scripted.py: no model; for tests and measuring
    answerer = RagAnswerer(...)  # rag/answers.py: step 3's retrieval and a chat model
    await answerer.answer(Query(question="When does it renew?"), call, tell=print)

The API knows nothing else of an answerer, so it can be tested, and its own speed measured, without a model. A
question that can't be answered raises an `ApiError` (errors.py).
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

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
        json_schema_extra={"examples": [{"question": "How long is the notice period?", "k": 3}]},
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
    start_ms: float | None = None  # after the arrival of the call; None: not timed
    retrieve_ms: float | None = None
    rerank_ms: float | None = None


@dataclass(frozen=True, slots=True)
class PromptRef:
    """A prompt as each call stores it; `text` is the whole template."""

    id: str
    version: int
    sha256: str
    text: str


class Reply(BaseModel):
    """An answer and how it came about."""

    answer: str
    abstained: bool = Field(description="Whether it says that it doesn't know.")
    sources: list[Source]
    confidence: float | None = Field(description="That the passages hold the answer; null: unknown.")
    attempts: list[Attempt]
    usage: dict[str, int | None] = Field(description="Input and output tokens; null is unknown.")
    latency_ms: dict[str, float | None] = Field(
        description="Milliseconds, of the whole (total) and of its parts; null where one did not happen."
    )
    cost_usd: float | None = Field(description="Null where the model's price is unknown.")
    prompt_version: str | None
    model: str
    trace_id: str
    span_id: str = Field(description="The call's own: one trace may hold several calls.")


def sha256_of(text: str) -> str:
    """The hash of a passage or a prompt, by which a replay knows whether it is still the same."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()  # PDFs may hold lone surrogates


# Gets an event and its data: `retrieved` with sources, confidence and attempts, `delta` with a text.
Tell = Callable[[str, dict[str, Any]], None]


def nothing(_event: str, _data: dict[str, Any]) -> None:
    """The default for Tell."""
