"""Activated LoRA: an adapter that works only behind the words that call it, the company's system message.

    <|im_start|>system                          <- found at the start of a prompt: the adapter works from here
    You answer members of Northwind Care.<|im_end|>
    <|im_start|>user ...

A plain adapter changes every answer a little, whoever asks. This one is looked for in the prompt first, and
where its call is not found, every matrix is the base's own: nothing leaks and nothing is forgotten. Training
is the same, because every training row begins with the call; PEFT finds the call and does the rest when the
model is used. Merged into the weights an adapter is always at work: merge.py.

Source: Greenewald et al. 2025, arXiv 2504.12397; `alora_invocation_tokens` in PEFT's LoraConfig.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from shared.errors import UserError
from step4_finetune.data.rows import Message

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

KEY = "alora_invocation_tokens"
ALWAYS = "train with `lora: {activated: false}`, as --recipe default does"


def invocation_tokens(tokenizer: PreTrainedTokenizerFast, prompts: Sequence[Sequence[Message]]) -> list[int]:
    """The tokens that every prompt under the first one's system message begins with.

    Raises:
        UserError: a prompt has no system message or another one; or the template writes today's date there.
    """
    first = prompts[0][0]
    if first["role"] != "system":
        raise UserError(
            f"an activated adapter is called by a system message, and the rows have none: {ALWAYS}"
        )
    if other := next((each for each in prompts if each[0] != first), None):
        raise UserError(
            "an activated adapter is called by one system message, and the rows have several, such as "
            f"{other[0]['content'][:60]!r}: {ALWAYS}"
        )
    if "strftime_now" in str(tokenizer.chat_template):
        raise UserError(f"this model's chat template writes today's date into the system message: {ALWAYS}")
    render: Any = tokenizer.apply_chat_template
    # A line break joins the one before it into one token, so it ends what all prompts have in common.
    one, two = (
        render([first, {"role": "user", "content": said}], return_dict=False) for said in ("\n", "A question")
    )
    same = next(
        (at for at, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), min(len(one), len(two))
    )
    return one[:same]
