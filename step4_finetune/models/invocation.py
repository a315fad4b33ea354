"""Activated LoRA: an adapter that is active only after its invocation, the company's system message.

    <|im_start|>system                          <- found in the prompt: the adapter is active from here on
    You answer members of Northwind Care.<|im_end|>
    <|im_start|>user ...

A plain adapter changes every answer a little. Here PEFT looks for the invocation in each prompt; where it is
not found, the model is the base: nothing leaks and nothing is forgotten. Training is the same, because every
training row begins with the invocation. Merged into the weights an adapter is always active: merge.py.

Source: Greenewald et al. 2025, arXiv 2504.12397; `alora_invocation_tokens` in PEFT's LoraConfig.
"""

from collections.abc import Sequence
from typing import Any

from transformers import PreTrainedTokenizerFast

from shared.errors import UserError
from step4_finetune.data.rows import Message
from step4_finetune.models.chat import common_prefix

KEY = "alora_invocation_tokens"
ALWAYS = "train with `lora: {activated: false}`, as --recipe replay does"


def invocation_tokens(tokenizer: PreTrainedTokenizerFast, prompts: Sequence[Sequence[Message]]) -> list[int]:
    """The tokens that every prompt under this system message begins with.

    Raises:
        UserError: not all prompts have the same system message, or the template writes today's date there.
    """
    first = prompts[0][0]
    if first["role"] != "system" or any(each[0] != first for each in prompts):
        raise UserError(f"an activated adapter needs the same system message in all rows: {ALWAYS}")
    if "strftime_now" in str(tokenizer.chat_template):
        raise UserError(f"this model's chat template writes today's date into the system message: {ALWAYS}")
    render: Any = tokenizer.apply_chat_template
    # The longest start that such different messages share; a line break may join the one before it.
    contents = ("\n", "A question")
    one, two = (render([first, {"role": "user", "content": each}], return_dict=False) for each in contents)
    return common_prefix([one, two])
