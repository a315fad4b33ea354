"""Text in, ids out, and how a token looks on a screen.

>>> [piece(tokenizer, i) for i in tokenizer("Hello world\n").input_ids]
['Hello', '·world', '⏎']
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

import jinja2
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
    check_unicode(text, what)
    if chat:
        if not tokenizer.chat_template:
            raise UserError("this model has no chat template: use --raw")
        turns = [{"role": "user", "content": text}]
        try:
            rendered = tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
        except jinja2.TemplateError as error:
            raise UserError(f"this model's chat template fails: {error}; use --raw") from None
        ids = tokenizer(rendered, add_special_tokens=False, return_tensors="pt").input_ids
    else:
        ids = tokenizer(text, return_tensors="pt").input_ids
    if context is not None and ids.shape[1] > context:
        raise UserError(
            f"the {what} is {ids.shape[1]} tokens long, more than the {context} that fit: shorten it"
        )
    return ids


def check_unicode(text: str, what: str) -> None:
    """Refuse text whose bytes were no UTF-8 when they came in.

    Raises:
        UserError: it has such bytes.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UserError(
            f"the {what} is no valid UTF-8: check the file or the terminal that it came from"
        ) from None


def context_of(model: PreTrainedModel) -> int:
    """How many tokens the model reads at most."""
    return int(getattr(model.config, "max_position_embeddings", 1 << 30))


@cache
def _byte_letters() -> dict[str, int]:
    """Byte-level BPE writes each of the 256 bytes as a printable letter (a space as Ġ): letter -> byte.

    Printable bytes stand for themselves; the others take the letters from 256 on, in order (GPT-2, 2019).
    """
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + n): byte for n, byte in enumerate(others)}


def token_bytes(tokenizer: PreTrainedTokenizerFast, token_id: int) -> bytes:
    """The bytes that a token stands for; it may be a part of a letter only."""
    token = str(tokenizer.convert_ids_to_tokens(token_id))
    if token_id not in tokenizer.all_special_ids and is_byte_level(tokenizer):
        return bytes(_byte_letters()[letter] for letter in token)
    return token.removeprefix("##").encode()  # WordPiece marks what goes on with ##


def is_byte_level(tokenizer: PreTrainedTokenizerFast) -> bool:
    """Whether its tokens are made of bytes (GPT-2, SmolLM2) rather than of letters (BERT, MiniLM)."""
    return "ByteLevel" in str(tokenizer.backend_tokenizer.decoder)


def piece(tokenizer: PreTrainedTokenizerFast, token_id: int) -> str:
    """One token as text, with its spaces and line ends visible; a part of a letter as its bytes, \\xe7."""
    raw = token_bytes(tokenizer, token_id)
    try:
        return visible(raw.decode())
    except UnicodeDecodeError:
        return "".join(f"\\x{byte:02x}" for byte in raw)


def text_pieces(tokenizer: PreTrainedTokenizerFast) -> Callable[[int], str]:
    """Decode a stream: feed ids one by one, get the text that each one completes.

    A letter outside ASCII may be spread over several tokens; it appears with the last of them.
    """
    ids: list[int] = []
    shown = ""

    def add(token: int) -> str:
        nonlocal shown
        ids.append(token)
        text = str(tokenizer.decode(ids, skip_special_tokens=True))
        if text.endswith("\N{REPLACEMENT CHARACTER}"):
            return ""
        new, shown = text[len(shown) :], text
        return new

    return add


def visible(text: str) -> str:
    """Text with its spaces, line ends and control characters made visible (and so harmless to a terminal)."""
    text = text.replace(" ", "·").replace("\n", "⏎").replace("\t", "⇥")
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
