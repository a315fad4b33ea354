"""Answer a recorded call again, from its own question, passages, prompt and parameters, and compare.

    $ python -m step5_serving replay 4bf92f35
    ...
    equal: 4bf92f35, answer/1@1b4f84f0, 3 of 3 passages are in the index as they were
    before 164+18 tokens, 795 ms (smollm2-135m-instruct, torch)
    now    164+18 tokens, 812 ms (smollm2-135m-instruct, torch)

A replay tells a change of the model from a change of the documents: there is no new search; the reader gets
the stored passages and the stored prompt. Whether the index still has these passages, and whether the
prompt's file still says the same, is reported, but does not change the replay.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.errors import UserError
from step5_serving.config import Options
from step5_serving.seam import PromptRef, Source, sha256_of
from step5_serving.telemetry.call import Call

if TYPE_CHECKING:
    from step5_serving.engines.engine import Engine

# Of a redacted call; earlier rows have [e-mail], [telephone] and [card].
PLACEHOLDERS = re.compile(r"\[(?:e-mail( address)?|(?:telephone|card)( number)?|IBAN|secret)\]")
LONGEST_RUN = 40  # chunks of a document that a passage may have been joined from
SIDE = ("input_tokens", "output_tokens", "finish_reason", "model", "engine")
SAME, CHANGED, GONE = "same", "changed", "gone"  # what happened to a passage in the index
TIMEOUT_S = 600.0


def run(
    row: Mapping[str, Any], *, index: Path | None = None, engine: str | None = None, model: str | None = None
) -> dict[str, Any]:
    """Replay a row (reading.show_call), by default with the engine and the model that it had.

    Raises:
        UserError: it can't be made again, no model answered it, or engine, model or index can't be had.
    """
    from step3_rag import PROMPTS
    from step3_rag.opening import open_index
    from step5_serving.telemetry.versions import Versions

    sources, prompt = check(row)
    if prompt is None or not sources or row["parameters"].get("verdict") == "abstain":
        raise UserError("no model answered this call: ask its question again instead")
    with contextlib.closing(_engine_of(row, engine, model)) as serving:
        found = states(open_index(serving.settings, index), row["sources"])
        again = replay(row, sources, prompt, serving)
    now = Versions.of(PROMPTS, "answer").known.get(prompt.version)
    return compared(row, again, found, now.sha256 if now else None)


def _engine_of(row: Mapping[str, Any], engine: str | None, model: str | None) -> Engine:
    """The engine of these flags; without them, the one that answered the call, with its options."""
    from step5_serving.engines import choice

    quantize = None
    if engine is None:
        engine, quantize = row["engine"], row["parameters"].get("quantize")
        if engine == "server":
            raise UserError("a server answered this call: name its address with --engine")
        model = model or row["model"]
        if engine == "claude":  # there, the engine's name is the model's
            engine, model = model, None
    return choice.resolve(engine, model, Options(quantize=quantize))


def replay(row: Mapping[str, Any], sources: Sequence[Source], prompt: PromptRef, engine: Engine) -> Call:
    """Answer the call of a row again, from its passages and its prompt (`check`).

    Raises:
        UserError: the prompt was changed, or the model can't be asked.
    """
    from shared.chat.errors import one_line_errors, with_timeouts
    from step3_rag.answer import read
    from step3_rag.answer.context import Source as Passage
    from step3_rag.from_flags import check_question
    from step5_serving.telemetry.versions import from_ref

    question = check_question(row["question"])
    passages = [Passage(each.number, each.document, each.place, each.text, (each.chunk,)) for each in sources]
    engine.warm_up()
    client, began = with_timeouts(engine.client(), TIMEOUT_S), time.perf_counter()
    with one_line_errors(engine.model, engine.settings):
        answer = read.chat(client, engine.model, question, passages, prompt=from_ref(prompt))
    if answer.stop_reason is None:  # the connection was closed in the middle
        raise UserError(f"{engine.model}: it broke off its answer: try again")
    return Call(
        "query",
        200,
        answer=answer.text,
        input_tokens=answer.input_tokens,
        output_tokens=answer.output_tokens,
        generate_ms=1000 * (time.perf_counter() - began),
        model=engine.model,
        engine=engine.name,
        finish_reason=answer.stop_reason,
    )


def check(row: Mapping[str, Any]) -> tuple[list[Source], PromptRef | None]:
    """The passages and the prompt that the call was answered from, verified by the hashes.

    Args:
        row: as `reading.show_call` gives it: route, status, error_type, answer, trace_id; sources, each with
            the fields of a Source; prompt, with those of a PromptRef, or None for a quote.

    Raises:
        UserError: it can't be made again, and why: the call is no `query`; it failed (its status is 400 or
            more, or its answer is None; an empty answer is an answer); the text of a passage is gone (None),
            or has another hash (`sha256_of`); the call had a prompt, whose text is gone.
    """
    ### BEGIN SOLUTION 5.4: Make a call again
    name = f"call {row['trace_id'][:8]}"
    if row["route"] != "query":
        raise UserError(f"{name} is no question but {row['route']}: it has no replay")
    if row["status"] >= 400 or row["answer"] is None:
        raise UserError(f"{name} failed ({row['status']} {row['error_type']}): there is no answer to compare")
    sources = []
    for each in row["sources"]:
        if each.get("text") is None:
            raise UserError(f"{name} can't be made again: passage {each['number']} is not stored any more")
        if sha256_of(each["text"]) != each["sha256"]:
            raise UserError(f"{name} can't be made again: the stored passage {each['number']} was changed")
        sources.append(Source(**{field: each[field] for field in Source.__slots__}))
    prompt = row["prompt"]
    if prompt and prompt["text"] is None:
        raise UserError(f"{name} can't be made again: its prompt is not stored any more")
    return sources, PromptRef(**prompt) if prompt else None
    ### END SOLUTION


def state_of(source: Mapping[str, Any], document: Sequence[Any], join: Callable[[Sequence[Any]], str]) -> str:
    """Whether a document still has a passage: same, changed (the document is there), or gone.

    Args:
        document: its chunks today, in their order.
        join: the text of neighbouring chunks, as a search joins them.

    Chunks get new numbers at each ingest, so the passage is found by its hash: some run of neighbours (one
    chunk, or up to LONGEST_RUN) must join to it again. It is not enough to be part of a longer text. A
    document without chunks is gone.
    """
    ### BEGIN SOLUTION 5.4: Make a call again
    if not document:
        return GONE
    for first, chunk in enumerate(document):
        if not source["text"].startswith(chunk.text):
            continue
        for last in range(first + 1, min(len(document), first + LONGEST_RUN) + 1):
            text = join(document[first:last])
            if sha256_of(text) == source["sha256"]:
                return SAME
            if len(text) > len(source["text"]):
                break
    return CHANGED
    ### END SOLUTION


def states(index: Any, sources: Sequence[Mapping[str, Any]]) -> list[str]:
    """What happened to each passage in an index of step 3."""
    from step3_rag.ingest.index import joined

    return [state_of(each, index.chunks_of(each["document"]), joined) for each in sources]


def compared(
    row: Mapping[str, Any], again: Call, found: Sequence[str], prompt_today: str | None
) -> dict[str, Any]:
    """Old and new side by side.

    Args:
        found: the state of each passage (`states`).
        prompt_today: hash of the prompt that has this id and version now; None if there is none.
    """
    old = {name: row[name] for name in (*SIDE, "generate_ms")} | {"answer": row["answer"].strip()}
    new = {name: getattr(again, name) for name in (*SIDE, "generate_ms")}
    new |= {"answer": (again.answer or "").strip()}
    notes = [
        f"passage {each['number']}, {each['place']}: {state} in the index since"
        for each, state in zip(row["sources"], found, strict=True)
        if state != SAME
    ]
    if prompt_today and prompt_today != row["prompt"]["sha256"]:
        notes.append(f"{row['prompt_version']} says something else in its file now: {prompt_today[:8]}")
    for what in ("model", "engine"):
        if old[what] != new[what]:
            notes.append(f"the {what} was {old[what]}, now it is {new[what]}")
    if PLACEHOLDERS.search(row["question"]):
        notes.append("the question was stored without its personal data: it is not word for word the same")
    equal = old["answer"] == new["answer"]
    return {
        "command": "step5_serving replay",
        "headline": f"{'equal' if equal else 'different'}: {row['trace_id'][:8]}, {row['prompt_version']}",
        **{name: row[name] for name in ("trace_id", "question", "prompt_version")},
        "equal": equal,
        "passages": list(found),
        "notes": notes,
        "old": old,
        "new": new,
    }
