"""What does a model lose with fewer bits, and what does it gain? Each way on the same text and questions.

    $ python -m step5_serving quantize

    fp32, bf16     the number formats of training
    int8           weights and tokens in eight bits, products of whole numbers (engines/batching/linear.py)
    bnb int8, nf4  bitsandbytes: made for a GPU's memory; its CPU kernels unpack before each product
    gguf q8_0      llama.cpp, another engine: 8.5 bits a weight
    gguf q4_1      5 bits a weight; the package that SmolLM2 comes in here has this file

Four figures each. Memory: the bytes that hold the weights. Tokens/s: one row, greedy. Perplexity: of
sample/reading.txt, a text that no model was trained on. Changed: the share of greedy answers that differ
from fp32's anywhere in their first tokens; nothing is corrected by a penalty here.

Where the reference itself was made from the Q4_1 file (no hub at hand), that file has the reference's weights
to the last bit: `weights` in the facts says where they came from, and the table repeats it.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from shared import hardware
from shared.cli import plain_table
from shared.config import Settings
from shared.errors import UserError
from shared.models import weights
from shared.progress import stage_bar
from step5_serving.bench import quantized
from step5_serving.bench.engines import threads
from step5_serving.bench.prompts import READING

if TYPE_CHECKING:
    from rich.console import Console

WINDOW = 512  # tokens that are read in one go
WAYS = ("fp32", "bf16", "int8", "bnb int8", "nf4", "gguf q8_0", "gguf q4_1")
COLUMNS = (("weights_mb", 0), ("tokens_per_second", 1), ("perplexity", 2))
NEEDS = {
    "bnb int8": "bitsandbytes",
    "nf4": "bitsandbytes",
    "gguf q8_0": "xllamacpp",
    "gguf q4_1": "xllamacpp",
}
EXTRA = {"bitsandbytes": "bitsandbytes", "xllamacpp": "llamacpp"}

QUESTIONS = (
    "What is the capital of France?",
    "Why is the sky blue?",
    "How do I boil an egg?",
    "Name three rivers in Europe.",
    "What does a lighthouse do?",
    "Who wrote Romeo and Juliet?",
    "What is 12 plus 30?",
    "Give me a word that means happy.",
    "How many days has a leap year?",
    "What is a prime number?",
)


class Measured(Protocol):
    """A model in one number format."""

    def weight_bytes(self) -> int | None:
        """Bytes that hold its weights."""
        ...

    def write(self, prompt: list[int], limit: int) -> list[int]:
        """Its greedy continuation, without the token that ends it."""
        ...

    def log_likelihood(self, ids: list[int]) -> float | None:
        """Sum of the log-probabilities of all but the first id; None where the engine tells none."""
        ...


def run(
    settings: Settings, ways: Sequence[str] = WAYS, questions: int = 10, tokens: int = 32, read: int = 1024
) -> dict[str, Any]:
    """Measure some ways; one whose package or file is missing is left out, and says so.

    Args:
        questions: so many are asked.
        tokens: of each answer, at most.
        read: tokens of the text whose perplexity is measured.

    Raises:
        UserError: there is no such way, or the model can't be had.
    """
    from shared.models import load_tokenizer

    if unknown := [way for way in ways if way not in WAYS]:
        raise UserError(f"--way {unknown[0]} is not known: use {', '.join(WAYS)}")
    folder, idle = weights.ensure(settings.model, settings), hardware.idle_cores(0.5)
    tokenizer: Any = load_tokenizer(settings=settings)
    ids = tokenizer.encode(READING.read_text(encoding="utf-8"), add_special_tokens=False)[:read]
    windows = [ids[at : at + WINDOW] for at in range(0, len(ids) - 1, WINDOW)]
    prompts = [_prompt(tokenizer, each) for each in QUESTIONS[:questions]]
    rows: list[dict[str, Any]] = []
    reference: list[list[int]] | None = None
    ways = ["fp32", *(way for way in ways if way != "fp32")]
    with stage_bar("quantizing", len(ways)) as stage, tempfile.TemporaryDirectory() as scratch:
        for way in ways:
            stage(way)
            missing = missing_for(way, folder)
            if missing:
                rows.append({"way": way, "left_out": missing})
                continue
            model = quantized.load(way, settings, folder, Path(scratch))
            row, answers = measure(way, model, windows, prompts, tokens)
            del model  # before the next one is loaded
            reference = reference or answers
            changed = sum(a != b for a, b in zip(answers, reference, strict=True))
            rows.append({**row, "changed": changed, "answers": len(answers)})
    measured = {row["way"]: row for row in rows if "left_out" not in row}
    fastest = max(measured.values(), key=lambda row: row["tokens_per_second"])
    times = fastest["tokens_per_second"] / measured["fp32"]["tokens_per_second"]
    return {
        "command": "step5_serving quantize",
        "headline": f"{fastest['way']} writes {times:.1f} times as fast as fp32",
        "model": settings.model,
        "weights": weights.source_of(folder),
        "rows": rows,
        "tokens_read": len(ids),
        "tokens_written": tokens,
        "threads": threads(),
        "idle_cores_before": round(idle, 1),
        "machine": hardware.describe(),
    }


def missing_for(way: str, folder: Path) -> str | None:
    """What is needed and not there, in words."""
    package = NEEDS.get(way)
    if package and find_spec(package) is None:
        return f"pip install .[{EXTRA[package]}]"
    if way.startswith("gguf") and weights.gguf_of(folder) is None:
        return "the model has no GGUF beside its weights"
    return None


def measure(
    way: str,
    model: Measured,
    windows: Sequence[list[int]],
    prompts: Sequence[list[int]],
    tokens: int,
) -> tuple[dict[str, Any], list[list[int]]]:
    """The row of one way, and its answers."""
    sums = [model.log_likelihood(ids) for ids in windows]
    known = [each for each in sums if each is not None]
    scored = sum(len(ids) - 1 for ids in windows)
    perplexity = math.exp(-sum(known) / scored) if len(known) == len(windows) else None
    answers, seconds, written = [], 0.0, 0
    for prompt in prompts:
        model.write(prompt, 1)  # llama.cpp keeps what it read: then it is kept both times that count
        began = time.perf_counter()
        model.write(prompt, 1)
        first = time.perf_counter()
        answers.append(model.write(prompt, tokens))
        # Both read the prompt; what the second takes longer is the time of the tokens behind the first.
        seconds += max(0.0, (time.perf_counter() - first) - (first - began))
        written += max(0, len(answers[-1]) - 1)
    size = model.weight_bytes()
    row = {
        "way": way,
        "weights_mb": None if size is None else round(size / 1e6, 1),
        "tokens_per_second": round(written / seconds, 1) if seconds else None,
        "perplexity": None if perplexity is None else round(perplexity, 2),
    }
    return row, answers


def _prompt(tokenizer: Any, question: str) -> list[int]:
    turns = [{"role": "user", "content": question}]
    text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False)
    return ids


def show(facts: dict[str, Any], console: Console) -> None:
    """A row for each way."""
    names = ("weights MB", "tokens/s", "perplexity", "answers changed")
    table = plain_table("", *names, right=names)
    for row in facts["rows"]:
        if "left_out" in row:
            table.add_row(row["way"], "-", "-", "-", row["left_out"])
            continue
        table.add_row(
            row["way"],
            *("unknown" if row[key] is None else f"{row[key]:.{digits}f}" for key, digits in COLUMNS),
            f"{row['changed']} of {row['answers']}",
        )
    console.print(table)
    console.print(
        f"\n{facts['model']} ({facts['weights']}); perplexity over {facts['tokens_read']} tokens, answers of "
        f"{facts['tokens_written']} tokens at most, one row; {facts['threads']} threads; {facts['machine']}, "
        f"{facts['idle_cores_before']:.1f} cores idle before",
        soft_wrap=True,
    )
