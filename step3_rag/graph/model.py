"""Names and relations by the chat model: one request for each passage, held to a JSON schema.

    >>> extract_passage(client, "claude-sonnet-5-5", "The supplier is Brightwell Components.")
    Passage(names=[Entity(name='Brightwell Components', type='organisation')],
            relations=[Statement(source='DOCUMENT', relation='supplier', target='Brightwell Components')])

GraphRAG does so (Edge et al. 2024, arXiv:2404.16130). Here types and relations are few instead of free text,
so that the result can be checked. The schema makes the answer readable, not true: a name that doesn't stand
in the passage is thrown away, and so is what is said of it. It costs a request a passage whenever documents
change.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import anthropic
from pydantic import BaseModel, ValidationError

from shared import prompts
from shared.errors import UserError, reason
from step3_rag import PROMPTS
from step3_rag.answer.context import inert
from step3_rag.graph.extract import RELATIONS, TYPES, Extraction, Mention, Relation, document_numbers, key
from step3_rag.ingest.index import Chunk

THIS = "DOCUMENT"  # what the prompt calls the passage's own document
MAX_TOKENS = 1500
IN_A_ROW = 5  # failures at the very beginning: then something else is wrong than the passages


class Entity(BaseModel):
    name: str
    type: Literal[TYPES]  # type: ignore


class Statement(BaseModel):
    source: str
    relation: Literal[tuple(RELATIONS)]  # type: ignore
    target: str


class Passage(BaseModel):
    """What the model answers; the API is held to its schema."""

    names: list[Entity]
    relations: list[Statement]


def extract_passage(client: anthropic.Anthropic, model: str, text: str) -> Passage:
    """The names and relations of one passage, only those whose names stand in it.

    Raises:
        ValidationError: the answer was cut off or refused.
        anthropic.AnthropicError: the request failed.
    """
    relations = "\n".join(f"- {name} ({what})" for name, what in RELATIONS.items())
    prompt: Any = prompts.render(
        prompts.load(PROMPTS, "graph_extract"), types=", ".join(TYPES), relations=relations
    )
    turn: Any = {"role": "user", "content": f"<passage>\n{inert(text)}\n</passage>"}
    message = client.messages.parse(
        model=model,
        max_tokens=MAX_TOKENS,
        system=prompt["system"],
        messages=[*prompt["messages"], turn],
        output_format=Passage,
    )
    found = message.parsed_output or Passage(names=[], relations=[])
    passage = " ".join(text.casefold().split())
    names = [each for each in found.names if key(each.name) and key(each.name) in passage]
    known = {key(each.name) for each in names} | {key(THIS)}
    stated = [each for each in found.relations if {key(each.source), key(each.target)} <= known]
    return Passage(names=names, relations=stated)


def extract(
    client: anthropic.Anthropic,
    model: str,
    chunks: Sequence[Chunk],
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Extraction:
    """All chunks, one after another; those that fail are counted and passed over.

    Raises:
        UserError: the first few requests failed, all of them.
    """
    found = Extraction(model, document_numbers(chunks))
    for done, chunk in enumerate(chunks, 1):
        progress(done, len(chunks))
        try:
            passage = extract_passage(client, model, chunk.text)
        except (ValidationError, anthropic.AnthropicError) as error:
            found.failed += 1
            if found.failed == done == min(IN_A_ROW, len(chunks)):
                why = f"gave nothing usable for the first {done} passages: {reason(error)}"
                raise UserError(f"{model} {why}") from None
            continue
        found.mentions += [Mention(each.name, each.type, chunk.id) for each in passage.names]
        for each in passage.relations:
            ends = (each.source, each.target)
            source, target = (chunk.document if key(name) == key(THIS) else name for name in ends)
            found.relations.append(Relation(source, each.relation, target, chunk.id))
    return found
