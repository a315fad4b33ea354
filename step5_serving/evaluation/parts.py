"""What `replay` and `compare` open: the engine that a call had, the index, versions of a prompt.

>>> run(show_call(store, "4bf92f35"))["equal"]
True
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shared import prompts
from shared.errors import UserError
from step5_serving.evaluation import replay
from step5_serving.telemetry.call import prompt_name

PROMPT = "answer"
UNNAMED = ("server", "step3_rag", "scripted")  # engines of calls that don't say how to reach them


def run(
    row: Mapping[str, Any],
    *,
    index: Path | None = None,
    engine: str | None = None,
    model: str | None = None,
    quantize: str | None = None,
) -> dict[str, Any]:
    """Replay a row with the engine and the model that it had, or with others.

    Raises:
        UserError: it can't be made again, or they can't be had.
    """
    from step5_serving.config import Config
    from step5_serving.rag.answers import RagAnswerer
    from step5_serving.rag.loading import check_index, prompts_folder
    from step5_serving.telemetry.versions import Versions

    quoted = row["prompt"] is None
    if engine is None and not quoted:
        engine = row["engine"]
        if engine in UNNAMED:
            raise UserError(f"the call was answered by a {engine}: name its address with --engine")
        model = model or row["model"]
        if engine == "claude":  # there, the engine's name is the model's
            engine, model = model, None
        quantize = quantize or row["parameters"].get("quantize")
    serving = serving_of(engine, model, quantize)
    reader = "quote" if quoted else "chat"
    config = Config(engine=serving.name, model=serving.model, index=index, reader=reader, running=1)
    check_index(config)
    versions = Versions.of(prompts_folder(), PROMPT)
    answerer = RagAnswerer(config, serving, versions)

    async def again() -> tuple[Any, list[str]]:
        try:
            answered = await replay.replay(row, answerer)
            opened = await answerer.opened()
            return answered, replay.states(opened.retriever.index, row["sources"])
        finally:
            await answerer.close()

    answered, states = asyncio.run(again())
    now = None if quoted else versions.refs.get(row["prompt"]["version"])
    return replay.compared(row, answered, states, now.sha256 if now else None)


def serving_of(
    engine: str | None,
    model: str | None,
    quantize: str | None = None,
    *,
    seed: int | None = None,
    smoke: bool = False,
) -> Any:
    """The engine of the flags; --smoke takes the tiny model.

    Raises:
        UserError: there is no such engine.
    """
    from shared.catalog import default
    from step5_serving.engines.choice import Options, resolve

    if smoke and model is None:
        model = default("smoke").id
    return resolve(engine, model, Options(quantize=quantize), seed=seed)


def pair_of(a: int, b: int, folder: Path | None) -> tuple[prompts.Prompt, prompts.Prompt]:
    """Two versions of the answer's prompt.

    Raises:
        UserError: one of them does not exist, or both say the same.
    """
    if folder is None:
        from step5_serving.rag.loading import prompts_folder

        folder = prompts_folder()
    pair = prompts.load(folder, PROMPT, a), prompts.load(folder, PROMPT, b)
    if pair[0].sha256 == pair[1].sha256:
        name = prompt_name(PROMPT, a, pair[0].sha256)
        raise UserError(f"versions {a} and {b} say the same ({name}): choose two that differ")
    return pair
