"""Text to token ids, and tokens as visible text.

>>> [piece(tokenizer, i) for i in tokenizer("Hello world\n").input_ids]
['Hello', '·world', '⏎']
"""

from collections.abc import Callable
from typing import Any

import torch
from transformers import PreTrainedTokenizerFast
from transformers.convert_slow_tokenizer import bytes_to_unicode

from shared.errors import UserError


def encode(tokenizer: PreTrainedTokenizerFast, text: str, *, chat: bool = False) -> torch.Tensor:
    """Token ids of shape (1, T); with `chat`, the text is the user's turn in the model's chat template.

    Raises:
        UserError: the text is empty, or the model has no chat template.
    """
    if not text.strip():
        raise UserError("the text is empty: give some text")
    ids = _encode_turn(tokenizer, text) if chat else tokenizer(text).input_ids
    return torch.tensor([ids])


def _encode_turn(tokenizer: PreTrainedTokenizerFast, text: str) -> list[int]:
    """The ids of the user's turn and of the start of the answer.

    A special token in the text, such as <|im_end|>, is encoded as ordinary text: otherwise it could end the
    user's turn and start a system turn.
    """
    if not tokenizer.chat_template:
        raise UserError("this model has no chat template: use --raw")

    def render(content: str) -> str:
        turns = [{"role": "user", "content": content}]
        return str(tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False))

    def ids_of(part: str, **options: Any) -> list[int]:
        ids: list[int] = tokenizer(part, add_special_tokens=False, **options).input_ids
        return ids

    if not any(token in text for token in tokenizer.all_special_tokens):
        return ids_of(render(text))
    before, _, after = render("\0").partition("\0")
    return ids_of(before) + ids_of(text, split_special_tokens=True) + ids_of(after)


def token_bytes(tokenizer: PreTrainedTokenizerFast, token_id: int) -> bytes:
    """The bytes that a token stands for, possibly only part of a letter."""
    if token_id in tokenizer.added_tokens_decoder:  # special tokens, and others added as plain text
        return tokenizer.added_tokens_decoder[token_id].content.encode()
    token: Any = tokenizer.convert_ids_to_tokens(token_id)
    if token is None:  # padding of the embedding table
        return f"#{token_id}".encode()
    if "ByteLevel" in str(tokenizer.backend_tokenizer.decoder):  # GPT-2, SmolLM2: one letter for each byte
        byte_of = {letter: byte for byte, letter in bytes_to_unicode().items()}
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


def stream_decoder(tokenizer: PreTrainedTokenizerFast) -> Callable[[int], str]:
    """A function that takes ids one by one and returns the text that each one completes.

    A letter outside ASCII may span several tokens; it is returned with the last of them.
    """
    from tokenizers.decoders import DecodeStream

    stream = DecodeStream(skip_special_tokens=True)
    return lambda token_id: stream.step(tokenizer.backend_tokenizer, token_id) or ""


def visible(text: str) -> str:
    """Text with visible spaces, line ends and control characters, safe to print on a terminal."""
    text = text.replace(" ", "·").replace("\n", "⏎").replace("\t", "⇥")
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
