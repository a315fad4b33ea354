"""What a model loses with fewer bits, and what it gains: each format on the same text and questions.

    $ python -m step5_serving quantize

    fp32, bf16     the number formats of training
    int8           weights and tokens in eight bits, integer products (engines/batching/linear.py)
    bnb int8       LLM.int8() of bitsandbytes (Dettmers et al. 2022, arXiv:2208.07339)
    nf4            its four bits (2023, arXiv:2305.14314); its CPU kernels unpack before each product

Four figures each. Memory: the bytes that hold the weights. Tokens/s: batch size 1, greedy. Perplexity: of
sample/reading.txt, a text that no model was trained on. Changed: the greedy answers whose first tokens differ
from fp32's anywhere; there is no repetition penalty here.

The linear layers are quantized; embedding and norms stay. SmolLM2's head is its embedding: `int8` holds it a
second time in eight bits, bitsandbytes leaves it alone.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from shared import hardware, models
from shared.config import Settings
from shared.errors import UserError
from shared.models import weights
from shared.progress import track
from step5_serving.bench.prompts import READING
from step5_serving.engines.batching import linear

if TYPE_CHECKING:
    from shared.models.load import CausalLM

BITSANDBYTES = ("bnb int8", "nf4")
WAYS = ("fp32", "bf16", "int8", *BITSANDBYTES)
WINDOW = 512  # tokens that are read at once
QUESTIONS = (
    "What is the capital of France?",
    "Why is the sky blue?",
    "How do I boil an egg?",
    "Name three rivers in Europe.",
    "What does a lighthouse do?",
    "Who wrote Romeo and Juliet?",
    "What is 12 plus 30?",
    "Give me a word that means happy.",
)


def run(
    settings: Settings, ways: Sequence[str] = WAYS, questions: int = 8, tokens: int = 32, read: int = 1024
) -> dict[str, Any]:
    """Measure some formats; one whose package is missing is left out, with a note.

    Args:
        questions: how many are asked.
        tokens: of each answer, at most.
        read: tokens of the text whose perplexity is measured.

    Raises:
        UserError: there is no such format, or the model can't be had.
    """
    if unknown := [way for way in ways if way not in WAYS]:
        raise UserError(f"--way {unknown[0]} is not known: use {', '.join(WAYS)}")
    idle = hardware.idle_cores(0.5)
    tokenizer: Any = models.load_tokenizer(settings=settings)
    text = tokenizer.encode(READING.read_text(encoding="utf-8"), add_special_tokens=False)[:read]
    asked = [[{"role": "user", "content": each}] for each in QUESTIONS[:questions]]
    prompts = tokenizer.apply_chat_template(asked, add_generation_prompt=True, return_dict=False)
    rows: list[dict[str, Any]] = []
    ways = ["fp32", *(way for way in ways if way != "fp32")]
    reference: list[list[int]] = []
    for way in track("quantizing", ways, str):
        if way in BITSANDBYTES and find_spec("bitsandbytes") is None:
            rows.append({"way": way, "left_out": "pip install .[bitsandbytes]"})
            continue
        model = load(way, settings)
        speed, answers = answer_all(model, prompts, tokens, tokenizer.all_special_ids)
        reference = reference or answers
        row = {
            "way": way,
            "weights_mb": round(weight_bytes(model) / 1e6, 1),
            "tokens_per_second": speed and round(speed, 1),
            "perplexity": round(perplexity(model, text), 2),
            "changed": sum(a != b for a, b in zip(answers, reference, strict=True)),
            "answers": len(answers),
        }
        rows.append(row)
    speeds = {row["way"]: row["tokens_per_second"] for row in rows if row.get("tokens_per_second")}
    fastest = max(speeds, key=lambda way: speeds[way])
    return {
        "command": "step5_serving quantize",
        "headline": f"{fastest} writes {speeds[fastest] / speeds['fp32']:.1f} times as fast as fp32",
        "model": settings.model,
        "weights": weights.source_of(weights.ensure(settings.model, settings)),
        "rows": rows,
        "tokens_read": len(text),
        "tokens_written": tokens,
        "threads": torch.get_num_threads(),
        "idle_cores_before": round(idle, 1),
        "machine": hardware.describe(),
    }


# --- a model in one of the formats ---------------------------------------------------------------------


def load(way: str, settings: Settings) -> CausalLM:
    """The model of the settings on the processor, in one of the WAYS."""
    more: dict[str, Any] = {}
    if way in BITSANDBYTES:
        from transformers import BitsAndBytesConfig

        logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it logs a line for each product
        config = BitsAndBytesConfig(
            load_in_8bit=way == "bnb int8",
            load_in_4bit=way == "nf4",
            bnb_4bit_quant_type="nf4",
            bnb_4bit_compute_dtype=torch.bfloat16,
        )
        more = {"quantization_config": config, "device_map": {"": "cpu"}}
    dtype = "float32" if way in ("fp32", "int8") else "bfloat16"
    model = models.load_causal_lm(settings=settings, device="cpu", dtype=dtype, **more)
    if way == "int8":
        _to_int8(model)
    return model


class Int8(nn.Module):
    """A linear layer with the batcher's own int8 product."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self._multiply, self._bias = linear.int8(layer.weight.detach()), layer.bias
        self.packed_bytes = layer.weight.numel() + 8 * len(layer.weight)  # and a scale for each output

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., out)"""
        product = self._multiply(x.reshape(-1, x.shape[-1])).view(*x.shape[:-1], -1)
        return product if self._bias is None else product + self._bias


def _to_int8(model: CausalLM) -> None:
    """Every linear layer in eight bits; the embedding in sixteen, as in the batcher."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Linear):
                setattr(parent, name, Int8(child))
    embedding: Any = model.get_input_embeddings()
    embedding.weight.data = embedding.weight.data.bfloat16()
    embedding.register_forward_hook(lambda _module, _args, out: out.float())


# --- its figures ---------------------------------------------------------------------------------------


def weight_bytes(model: CausalLM) -> int:
    """Bytes that hold the weights, tied ones once, with the scales of quantized ones."""
    size = model.get_memory_footprint()
    for parameter in model.parameters():
        state = getattr(parameter, "quant_state", None)  # bitsandbytes, four bits
        scales = state.absmax if state else getattr(parameter, "SCB", None)  # eight bits
        size += scales.nbytes if isinstance(scales, Tensor) else 0
    return size + sum(getattr(each, "packed_bytes", 0) for each in model.modules())


@torch.inference_mode()
def perplexity(model: CausalLM, ids: list[int]) -> float:
    """exp of the mean loss of each token after those before it in its window."""
    loss, n = 0.0, 0
    for start in range(0, len(ids) - 1, WINDOW):
        row = torch.tensor([ids[start : start + WINDOW]])
        logits = model(input_ids=row, use_cache=False).logits[0, :-1].float()
        loss += float(nn.functional.cross_entropy(logits, row[0, 1:], reduction="sum"))
        n += len(logits)
    return math.exp(loss / n)


@torch.inference_mode()
def answer_all(
    model: CausalLM, prompts: Sequence[list[int]], tokens: int, ends: list[int]
) -> tuple[float | None, list[list[int]]]:
    """Greedy answers without their end tokens, and the tokens per second after the first token of each."""

    def generate(prompt: list[int], limit: int) -> tuple[float, list[int]]:
        row = torch.tensor([prompt])
        how: dict[str, Any] = {"do_sample": False, "max_new_tokens": limit, "eos_token_id": ends}
        began = time.perf_counter()
        out: Any = model.generate(row, attention_mask=torch.ones_like(row), pad_token_id=ends[0], **how)
        seconds = time.perf_counter() - began
        return seconds, [token for token in out[0, len(prompt) :].tolist() if token not in ends]

    answers, seconds, written = [], 0.0, 0
    for prompt in prompts:
        to_first, _ = generate(prompt, 1)
        whole, answer = generate(prompt, tokens)  # reads the prompt, too: the difference is the other tokens'
        answers.append(answer)
        seconds += max(0.0, whole - to_first)
        written += max(0, len(answer) - 1)
    return written / seconds if seconds else None, answers
