"""How fast are the text engines on this machine? Both are asked the same, in turns, and medians are taken.

    $ python -m shared bench
    >>> measure(load_settings())["engines"]["llamacpp"]
    {'start_seconds': 0.9, 'prefill_tokens_per_second': 330.1, 'decode_tokens_per_second': 84.8, ...}

Start is a new Python process up to the loaded model. Prompts begin differently each time, so that no KV
cache of an earlier call helps. Only the engines that are installed are measured.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time
from statistics import median
from typing import TYPE_CHECKING, Any

from shared import hardware
from shared.config import PREFIX, Settings
from shared.embedded.engine import Engine
from shared.errors import UserError
from shared.models import weights

if TYPE_CHECKING:
    from rich.console import Console

LONG = 1500  # tokens of the prompt whose prefill is timed
SHORT, ANSWER = 211, 80  # tokens in and out of a usual request
TEXT = "The ship left the harbour before dawn, and nobody on the quay knew where she was bound or why. "
START = """
import sys
from shared.config import load_settings
from shared.embedded.engines import load_engine
load_engine(load_settings(engine=sys.argv[1]))
"""


def measure(settings: Settings, repeats: int = 3) -> dict[str, Any]:
    """Medians over `repeats` rounds, by engine; what it costs to follow a schema, in seconds a token.

    Raises:
        UserError: the model can't be had.
    """
    engines = _load(settings)
    timed: dict[str, list[dict[str, float]]] = {name: [] for name in engines}
    for round_number in range(-1, repeats):  # one round to warm up, which does not count
        order = list(engines) if round_number % 2 else list(reversed(engines))
        for name in order:
            facts = _once(engines[name], round_number + 2)
            if round_number >= 0:
                timed[name].append({"start_seconds": _start(name, settings), **facts})
    return {
        "engines": {
            name: {key: round(median(row[key] for row in rows), 3) for key in rows[0]}
            for name, rows in timed.items()
        },
        "schema_seconds_per_token": round(_schema_seconds(engines["transformers"]), 6),
        "prompt_tokens": {"prefill": LONG, "request": SHORT},
        "repeats": repeats,
        "threads": settings.threads,
        "model": settings.model,
        "machine": hardware.describe(),
    }


def run(settings: Settings, repeats: int = 3) -> dict[str, Any]:
    """What `python -m shared bench` says: the measurement with its headline.

    Raises:
        UserError: as `measure`; too few rounds.
    """
    if repeats < 1:
        raise UserError(f"--repeats {repeats} is not allowed: use 1 or more")
    found = measure(settings, repeats)
    seconds = ", ".join(f"{name} {row['request_seconds']:.1f} s" for name, row in found["engines"].items())
    headline = f"{SHORT} tokens in, {ANSWER} out: {seconds}"
    return {"command": "shared bench", "headline": headline, **found}


def show(facts: dict[str, Any], console: Console) -> None:
    """One row a figure, one column an engine."""
    from rich.table import Table

    engines = facts["engines"]
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("")
    for name in engines:
        table.add_column(name, justify="right")
    for what, key, form in (
        ("seconds to start, in a new process", "start_seconds", ".1f"),
        (f"tokens/s read, of {LONG}", "prefill_tokens_per_second", ".0f"),
        ("tokens/s written", "decode_tokens_per_second", ".0f"),
        (f"seconds for {SHORT} tokens in, {ANSWER} out", "request_seconds", ".2f"),
    ):
        table.add_row(what, *[format(row[key], form) for row in engines.values()])
    console.print(table)
    console.print(
        f"\nmedians of {facts['repeats']}, in turns; a schema adds "
        f"{facts['schema_seconds_per_token'] * 1000:.2f} ms a token; threads: {facts['threads']}; "
        f"{facts['model']}; {facts['machine']}",
        soft_wrap=True,
    )


def _load(settings: Settings) -> dict[str, Any]:
    """Engines of our own, with the threads of these settings; `load` would share another's."""
    from shared.embedded.on_llamacpp import LlamaCppEngine
    from shared.embedded.on_transformers import TransformersEngine

    found: dict[str, Any] = {"transformers": TransformersEngine.load(settings)}
    folder = weights.ensure(settings.model, settings)
    if importlib.util.find_spec("xllamacpp") and weights.gguf_of(folder):
        found["llamacpp"] = LlamaCppEngine.load(folder, settings)
    return found


def _once(engine: Engine, salt: int) -> dict[str, float]:
    text = engine.encode(TEXT * (LONG // 16))
    prompts = [[*engine.encode(f"{salt * 7 + n}"), *text] for n in range(2)]  # nothing in common to keep
    start = time.perf_counter()
    list(engine.generate(prompts[0][:LONG], 1))
    prefill = time.perf_counter() - start
    start = time.perf_counter()
    answer = engine.generate(prompts[1][:SHORT], ANSWER)
    first = 0.0
    for _ in answer:
        first = first or time.perf_counter() - start
    seconds = time.perf_counter() - start
    return {
        "prefill_tokens_per_second": LONG / prefill,
        # The first token comes out of the prefill. An answer that ends at once says nothing about the pace.
        "decode_tokens_per_second": max(0, answer.output_tokens - 1) / (seconds - first),
        "request_seconds": seconds,
        "request_output_tokens": answer.output_tokens,
    }


def _start(name: str, settings: Settings) -> float:
    """Seconds of a new process until the engine is loaded, with these settings in its environment."""
    own = {"model", "device", "dtype", "threads", "cache_dir", "models_dir", "hub"}
    values = settings.model_dump(mode="json", include=own, exclude_none=True)
    environment = {**os.environ, **{PREFIX + key.upper(): str(value) for key, value in values.items()}}
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", START, name], env=environment, check=True, capture_output=True)
    return time.perf_counter() - start


def _schema_seconds(engine: Any, tokens: int = 50) -> float:
    """Seconds that a schema adds to a token, without the model's own."""
    import torch

    from shared.embedded.grammar import grammar_of
    from shared.embedded.guide import Guide, tokens_of

    vocabulary = engine.model.config.get_text_config().vocab_size
    schema = {"type": "array", "items": {"type": "string"}}
    guide = Guide(tokens_of(engine.tokenizer, vocabulary, engine.ends), grammar_of(schema), engine.ends)
    logits = torch.randn(vocabulary, generator=torch.Generator().manual_seed(0))
    seconds = []
    for _ in range(tokens):
        start = time.perf_counter()
        guide.choose(logits, left=1_000_000)
        seconds.append(time.perf_counter() - start)
        logits = logits.roll(1)
    return median(seconds)
