"""Text to token ids, and tokens as visible text.

>>> [piece(tokenizer, i) for i in tokenizer("Hello world\n").input_ids]
['Hello', '·world', '⏎']
"""

from typing import Any

import torch
from transformers import PreTrainedTokenizerFast
from transformers.convert_slow_tokenizer import bytes_to_unicode

from shared.embedded.prompt import escape_markers
from shared.errors import UserError


def encode(tokenizer: PreTrainedTokenizerFast, text: str, *, chat: bool = False) -> torch.Tensor:
    """Token ids of shape (1, T); with `chat`, the text is the user's turn in the model's chat template.

    Raises:
        UserError: the text is empty, or the model has no chat template.
    """
    if not text.strip():
        raise UserError("the text is empty: give some text")
    if not chat:
        return torch.tensor([tokenizer(text).input_ids])
    if not tokenizer.chat_template:
        raise UserError("this model has no chat template: use --raw")
    turn = {"role": "user", "content": escape_markers(text, tokenizer)}  # so that no text ends its turn
    encoded: Any = tokenizer.apply_chat_template([turn], add_generation_prompt=True, return_tensors="pt")
    return encoded.input_ids


def token_bytes(tokenizer: PreTrainedTokenizerFast, token_id: int) -> bytes:
    """The bytes that a token stands for, possibly only part of a letter."""
    if token_id in tokenizer.added_tokens_decoder:  # special tokens, and others added as plain text
        return tokenizer.added_tokens_decoder[token_id].content.encode()
    token: Any = tokenizer.convert_ids_to_tokens(token_id)
    if token is None:  # padding of the embedding table
        return f"#{token_id}".encode()
    if "ByteLevel" in str(tokenizer.backend_tokenizer.decoder):  # GPT-2, SmolLM2: one letter for each byte
        byte_of = {letter: byte for byte, letter in bytes_to_unicode().items()}  # 256 letters
        return bytes(byte_of[letter] for letter in token)
    return str(token).removeprefix("##").encode()  # BERT's WordPiece: ## marks later pieces of a word


def piece(tokenizer: PreTrainedTokenizerFast, token_id: int) -> str:
    """One token as visible text; part of a letter is shown as bytes, such as \\xe7."""
    return show_bytes(token_bytes(tokenizer, token_id))


def show_bytes(raw: bytes) -> str:
    """Bytes as visible text; if they are only part of a letter, as \\xe7."""
    try:
        return visible(raw.decode())
    except UnicodeDecodeError:
        return "".join(f"\\x{byte:02x}" for byte in raw)


def visible(text: str) -> str:
    """Text with visible spaces, line ends and control characters, safe to print on a terminal."""
    text = text.replace(" ", "·").replace("\n", "⏎").replace("\t", "⇥")
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
