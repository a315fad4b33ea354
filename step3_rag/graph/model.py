"""Names and relations by the chat model: one request for each passage, held to a JSON schema.

    >>> extract_with_model(client, "claude-sonnet-5-5", "The supplier is Brightwell Components.")
    {'names': [{'name': 'Brightwell Components', 'type': 'organisation'}],
     'relations': [{'source': 'DOCUMENT', 'relation': 'supplier', 'target': 'Brightwell Components'}]}

What GraphRAG does (Edge et al. 2024, arXiv:2404.16130), with few types and relations instead of free text, so
that the result can be checked and the edges can be walked. The schema makes the answer readable, not true: a
name that doesn't stand in the passage is thrown away, and so is what is said of it. A passage that fails is
counted and passed over; one bad passage of a thousand is no reason to have no graph.

It costs a request a passage, each time the documents change. The rules of rules.py cost nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import anthropic

from shared import prompts
from shared.errors import UserError, reason
from step3_rag import PROMPTS
from step3_rag.answer.context import inert
from step3_rag.graph.extract import RELATIONS, TYPES, Extraction, Mention, Relation, key
from step3_rag.graph.parties import Paper, own_number
from step3_rag.ingest.index import Chunk

THIS = "DOCUMENT"  # what the passage's own document is called
MAX_TOKENS = 1500
IN_A_ROW = 5  # failures at the very beginning: then something else is wrong than the passages


class NotUsableError(Exception):
    """The answer is no extraction; says why."""


def schema() -> dict[str, Any]:
    """The JSON schema that an answer is held to."""

    def rows(**fields: Any) -> dict[str, Any]:
        item = {"type": "object", "properties": fields, "required": [*fields], "additionalProperties": False}
        return {"type": "array", "items": item}

    name, text = {"type": "string"}, {"type": "string"}
    relations = [relation for relation in RELATIONS if relation != "together"]
    properties = {
        "names": rows(name=name, type={"type": "string", "enum": [*TYPES]}),
        "relations": rows(source=text, relation={"type": "string", "enum": relations}, target=text),
    }
    return {
        "type": "object",
        "properties": properties,
        "required": [*properties],
        "additionalProperties": False,
    }


@cache
def _prompt() -> dict[str, Any]:
    told = "\n".join(f"- {name} ({what})" for name, what in RELATIONS.items() if name != "together")
    return prompts.render(prompts.load(PROMPTS, "graph_extract"), types=", ".join(TYPES), relations=told)


def extract_with_model(client: anthropic.Anthropic, model: str, text: str) -> dict[str, Any]:
    """The names and relations of one passage, those only that the passage bears out.

    Raises:
        NotUsableError: the answer was cut off, refused or no such JSON.
        anthropic.AnthropicError: the request failed.
    """
    rendered = _prompt()
    form: Any = {"format": {"type": "json_schema", "schema": schema()}}
    turn: Any = {"role": "user", "content": f"<passage>\n{inert(text)}\n</passage>"}
    message = client.messages.create(
        model=model,
        max_tokens=MAX_TOKENS,
        system=rendered["system"],
        messages=[*rendered["messages"], turn],
        output_config=form,
    )
    if message.stop_reason != "end_turn":
        raise NotUsableError(f"the answer ended with {message.stop_reason}")
    return checked("".join(block.text for block in message.content if block.type == "text"), text)


def checked(answer: str, text: str) -> dict[str, Any]:
    """What of an answer is usable.

    Raises:
        NotUsableError: it is no such JSON.
    """
    import jsonschema

    try:
        found = json.loads(answer)
        jsonschema.validate(found, schema())
    except ValueError:
        raise NotUsableError("the answer is no JSON") from None
    except jsonschema.ValidationError as error:
        raise NotUsableError(f"the answer is not of the schema: {reason(error)}") from None
    passage = " ".join(text.casefold().split())
    names = [each for each in found["names"] if key(each["name"]) and key(each["name"]) in passage]
    known = {key(each["name"]) for each in names} | {key(THIS)}
    relations = [
        each
        for each in found["relations"]
        if {key(each["source"]), key(each["target"])} <= known and key(each["source"]) != key(each["target"])
    ]
    return {"names": names, "relations": relations}


def extract(
    client: anthropic.Anthropic,
    model: str,
    chunks: Sequence[Chunk],
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Extraction:
    """All chunks, one after another; what fails is counted.

    Raises:
        UserError: the first few requests failed, all of them.
    """
    found = Extraction(model, read=len(chunks))
    for done, chunk in enumerate(chunks):
        progress(done, len(chunks))
        if chunk.place == 0:
            number = own_number(Paper(chunk.document, chunk.title))
            if number:
                found.aliases.setdefault(number, chunk.document)
        try:
            one = extract_with_model(client, model, chunk.text)
        except (NotUsableError, anthropic.AnthropicError) as error:
            found.failed += 1
            found.why[reason(error)] += 1
            if found.failed == done + 1 == min(IN_A_ROW, len(chunks)):
                raise UserError(
                    f"{model} gave nothing usable for the first {done + 1} passages: {reason(error)}"
                ) from None
            continue
        found.mentions += [Mention(each["name"], each["type"], chunk.id) for each in one["names"]]
        for each in one["relations"]:
            source, target = (
                chunk.document if key(name) == key(THIS) else name
                for name in (each["source"], each["target"])
            )
            found.relations.append(Relation(source, each["relation"], target, chunk.id))
    progress(len(chunks), len(chunks))
    return found
