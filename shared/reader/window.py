"""What the reader sees at once: a question, and a passage with its title.

    tokens       [CLS] when does it renew ? [SEP] supply . md [SEP] notice is 60 days . it ends . [SEP]
    types          0    0    0   0    0   0   0      1   1  1   1      1    1  1   1  1  1   1  1   1
    sentence_of   -1   -1   -1  -1   -1  -1  -1     -1  -1 -1  -1      0    0  0   0  0  1   1  1  -1

>>> window = Window.of(tokenizer, "When does it renew?", "supply.md", "Notice is 60 days. It ends.")
>>> [window.passage[start:end] for start, end in window.sentences]
['Notice is 60 days.', 'It ends.']
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from tokenizers import Tokenizer

from shared.sentences import Span, sentences

LONGEST = 512  # tokens that MiniLM has positions for
QUESTION = 64  # tokens of a question that are read
TITLE = 40  # tokens of a title that are read


@dataclass(frozen=True)
class Window:
    """The tokens of a question and a passage."""

    passage: str
    ids: list[int]  # (n,)
    types: list[int]  # (n,) 0 for the question, 1 for title and passage: BERT's token types
    question: slice  # the question's tokens
    sentences: list[Span]  # those of which the window has tokens, in characters of the passage
    sentence_of: np.ndarray  # (n,) which sentence a token is in, -1 outside the passage

    @classmethod
    def of(cls, tokenizer: Tokenizer, question: str, title: str, passage: str) -> Self:
        """The window of one question and one passage; what doesn't fit is cut off at the end."""
        start = tokenizer.token_to_id("[CLS]") or 0  # other tokenizers than BERT's, for tests: any number
        separator = tokenizer.token_to_id("[SEP]") or 1
        question_ids = tokenizer.encode(question, add_special_tokens=False).ids[:QUESTION]
        title_ids = tokenizer.encode(title, add_special_tokens=False).ids[:TITLE]
        before = [start, *question_ids, separator]
        types = [0] * len(before)
        if title_ids:
            before += [*title_ids, separator]
        encoding = tokenizer.encode(passage, add_special_tokens=False)
        room = LONGEST - len(before) - 1
        ids = [*before, *encoding.ids[:room], separator]
        types += [1] * (len(ids) - len(types))
        spans = sentences(passage)
        sentence_of = np.full(len(ids), -1)
        number = 0
        for i, (begin, _) in enumerate(encoding.offsets[:room]):
            while number + 1 < len(spans) and begin >= spans[number + 1][0]:
                number += 1
            sentence_of[len(before) + i] = number
        read = spans[: sentence_of.max() + 1]
        return cls(passage, ids, types, slice(1, 1 + len(question_ids)), read, sentence_of)

    def sentence_at(self, start: int, end: int) -> int | None:
        """The sentence that holds a span of the passage; None if the window has none."""
        for number, (begin, stop) in enumerate(self.sentences):
            if begin <= start and end <= stop:
                return number
        return None
