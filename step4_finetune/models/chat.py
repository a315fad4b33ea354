"""The token ids of a prompt, and of a prompt with its reply, by the model's chat template.

>>> ids, asked = conversation_ids(tokenizer, [{"role": "user", "content": "Hi"}], "Hello.")
>>> tokenizer.decode(ids[asked:])
'Hello.<|im_end|>\\n'
"""

from collections.abc import Sequence
from itertools import takewhile
from typing import Any

from step4_finetune.data.rows import Message


def prompt_ids(tokenizer: Any, prompt: Sequence[Message]) -> list[int]:
    """The ids of a prompt, up to where the reply begins."""
    ids: list[int] = tokenizer.apply_chat_template(
        list(prompt), add_generation_prompt=True, return_dict=False
    )
    return ids


def conversation_ids(tokenizer: Any, prompt: Sequence[Message], reply: str) -> tuple[list[int], int]:
    """The ids of a prompt with its reply, and how many of them belong to the prompt."""
    turns = [*prompt, {"role": "assistant", "content": reply}]
    ids: list[int] = tokenizer.apply_chat_template(turns, return_dict=False)
    return ids, len(prompt_ids(tokenizer, prompt))


def common_prefix(sequences: Sequence[list[int]]) -> list[int]:
    """The tokens that all of these sequences begin with."""
    equal = takewhile(lambda column: len(set(column)) == 1, zip(*sequences, strict=False))
    return [column[0] for column in equal]
