"""`generate`: answer a prompt with our own loop, and compare its speed with what memory allows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
from tokenizers.decoders import DecodeStream

from shared import hardware
from shared.models import weights
from shared.models.device import describe_choice
from shared.words import count
from step1_foundations.bench import megabytes, read_weights, seconds_to_decode
from step1_foundations.cli.loading import load_model_and_text
from step1_foundations.generate import generate, stop_ids_of
from step1_foundations.int8 import quantize_int8
from step1_foundations.support.model_parts import context_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from shared.cli import Console
    from shared.config import Settings
    from step1_foundations.sampling import Sampling

STOP_REASONS = {
    "stop": "the model ended its turn",
    "length": "stopped at the limit",
    "interrupt": "stopped by Ctrl-C",
}


@dataclass(frozen=True)
class GenerateReport:
    """An answer and how fast it was generated."""

    command: str
    headline: str
    text: str  # the answer
    input_tokens: int
    output_tokens: int
    stop_reason: str  # a key of STOP_REASONS
    prefill_tokens_per_second: float
    decode_tokens_per_second: float | None  # None: the only token was that of the prefill
    memory_bound_tokens_per_second: float | None  # at most; None on a GPU
    weight_megabytes: float  # that each decode step reads
    runs_with: str  # model, dtype, machine


def answer_prompt(
    settings: Settings,
    prompt: str,
    max_new_tokens: int,
    sampling: Sampling,
    *,
    chat: bool,
    int8: bool,
    stream: bool,
) -> GenerateReport:
    """Generate an answer; with `stream`, print it while it grows. Ctrl-C ends the answer.

    Raises:
        UserError: the model is not available, or the prompt is empty or fills the context.
    """
    tokenizer, model, ids = load_model_and_text(settings, prompt, max_tokens=None, chat=chat)
    if int8:
        quantize_int8(model)
    warm_up(model, ids)
    decoder = DecodeStream(skip_special_tokens=True)

    def print_token(token: int) -> None:
        text = decoder.step(tokenizer.backend_tokenizer, token)  # None: only part of a letter
        if text and stream:
            print(text, end="", flush=True)

    limit = min(max_new_tokens, context_of(model) - ids.shape[1])
    generator = torch.Generator(model.device).manual_seed(settings.seed)
    answer = generate(model, ids, limit, sampling, stop_ids_of(model), generator, print_token)

    headline = count(len(answer.ids), "token")
    speed = answer.decode_speed
    if speed:
        headline += f" at {speed:.0f} tokens/s"
    seconds = seconds_to_decode(model, 1)
    return GenerateReport(
        command="step1_foundations generate",
        headline=headline,
        text=cast(str, tokenizer.decode(answer.ids, skip_special_tokens=True)),  # of one answer, not several
        input_tokens=ids.shape[1],
        output_tokens=len(answer.ids),
        stop_reason=answer.stop_reason,
        # 0 seconds: the user pressed Ctrl-C during the prefill
        prefill_tokens_per_second=round(ids.shape[1] / (answer.prefill_seconds or 1), 1),
        decode_tokens_per_second=round(speed, 1) if speed else None,
        memory_bound_tokens_per_second=round(1 / seconds, 1) if seconds else None,
        weight_megabytes=round(megabytes(read_weights(model)), 1),
        runs_with=describe_run(settings, model, int8),
    )


@torch.inference_mode()
def warm_up(model: PreTrainedModel, ids: torch.Tensor) -> None:
    """Two short passes over ids (1, T), like prefill and decode: the first ones also set up torch."""
    for length in (8, 1):
        model(input_ids=ids[:, :length], use_cache=False)


def describe_run(settings: Settings, model: PreTrainedModel, int8: bool) -> str:
    """The model, where its weights are from, dtype, device and machine."""
    source = weights.source_of(weights.ensure(settings.model, settings))
    device = model.device.type
    if int8:
        rest = settings.model_copy(update={"dtype": "bfloat16"})  # of the parts that are not int8
        choice = f"int8 weights, {describe_choice(rest, device)}"
    else:
        choice = describe_choice(settings, device)
    return f"{settings.model} ({source}), {choice}; {hardware.describe()}"


def show(report: GenerateReport, console: Console) -> None:
    """The lines below the answer: token counts, speeds, and the model's configuration."""
    counts = f"{count(report.input_tokens, 'token')} in, {report.output_tokens} out"
    speeds = f"prefill {report.prefill_tokens_per_second:.0f} tokens/s"
    speed = report.decode_tokens_per_second
    bound = report.memory_bound_tokens_per_second
    if speed:
        speeds += f", decode {speed:.0f} tokens/s"
    if speed and bound:
        speeds += (
            f": {speed / bound:.0%} of the {bound:.0f} that memory allows "
            f"({report.weight_megabytes:.0f} MB of weights are read per token)"
        )
    console.print(
        f"\n{counts}; {STOP_REASONS[report.stop_reason]}\n{speeds}\n{report.runs_with}",
        style="dim",
        soft_wrap=True,
    )
