"""Text in, ids out, and how a token looks on a screen.

>>> [piece(tokenizer, i) for i in tokenizer("Hello world\n").input_ids]
['Hello', '·world', '⏎']
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from shared.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast


def encode(
    tokenizer: PreTrainedTokenizerFast,
    text: str,
    context: int | None = None,
    *,
    chat: bool = False,
    what: str = "prompt",
) -> torch.Tensor:
    """Token ids of shape (1, T); with `chat`, as the user's turn in the model's own chat template.

    Raises:
        UserError: nothing to encode, or more tokens than `context` (both lengths are named).
    """
    if not text.strip():
        raise UserError(f"the {what} is empty: give some text")
    if chat:
        if not tokenizer.chat_template:
            raise UserError("this model has no chat template: use --raw")
        turns = [{"role": "user", "content": text}]
        rendered = tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
        ids = tokenizer(rendered, add_special_tokens=False, return_tensors="pt").input_ids
    else:
        ids = tokenizer(text, return_tensors="pt").input_ids
    if context is not None and ids.shape[1] > context:
        raise UserError(
            f"the {what} is {ids.shape[1]} tokens long, more than the {context} that fit: shorten it"
        )
    return ids


def context_of(model: PreTrainedModel) -> int:
    """How many tokens the model reads at most."""
    return int(getattr(model.config, "max_position_embeddings", 1 << 30))


def piece(tokenizer: PreTrainedTokenizerFast, token_id: int) -> str:
    """One token as text, with its spaces and line ends visible."""
    return visible(str(tokenizer.decode([token_id])))


def visible(text: str) -> str:
    """Text with its spaces, line ends and control characters made visible (and so harmless to a terminal)."""
    text = text.replace(" ", "·").replace("\n", "⏎").replace("\t", "⇥")
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
