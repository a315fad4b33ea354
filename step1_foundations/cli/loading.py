"""Loads what most commands need: the tokenizer, the model, and the text as ids."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shared import models
from shared.errors import UserError
from shared.words import count
from step1_foundations.support.model_parts import context_of
from step1_foundations.support.text import encode

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from shared.config import Settings

MAX_TOKENS = 512  # of a text to analyse: attention weights take layers * heads * T * T numbers


def load_model_and_text(
    settings: Settings,
    text: str,
    *,
    min_tokens: int = 1,
    max_tokens: int | None = MAX_TOKENS,
    chat: bool = False,
    **options: Any,
) -> tuple[PreTrainedTokenizerFast, PreTrainedModel, torch.Tensor]:
    """The tokenizer, the model and the text's ids (1, T), which leave room for a new token in the context.

    With `max_tokens` None, only the context limits the text. `options` go to `load_causal_lm`.

    Raises:
        UserError: the model is not available, or the text is too short or too long.
    """
    tokenizer = models.load_tokenizer(settings=settings)
    ids = encode(tokenizer, text, chat=chat)  # refuses an empty text before the model loads
    model = models.load_causal_lm(settings=settings, **options)
    longest = context_of(model) - 1
    if max_tokens is not None:
        longest = min(longest, max_tokens)
    if not min_tokens <= ids.shape[1] <= longest:
        raise UserError(f"the text is {count(ids.shape[1], 'token')} long: use {min_tokens} to {longest:,}")
    return tokenizer, model, ids.to(model.device)
