"""Follows one text through a grammar: which tokens may come next, which must, and how it can end.

    >>> guide = Guides(tokenizer, vocabulary, ends).of(schema)
    >>> guide.forced()                  # ids that must come first, such as those of {"name": "
    >>> guide.choose(logits, left=80)   # the best allowed id, and those that follow of necessity

A small model loses the thread inside a JSON text: it lists the same thing for ever. So the guide knows a
short way to finish what is begun, and takes it when the text goes round in a circle, or when no token is
left for anything else. The text then fits the schema, whatever the model wanted to add.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Collection, Iterable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from shared.embedded.grammar import grammar_of

if TYPE_CHECKING:
    import torch
    from llguidance import LLMatcher, LLTokenizer
    from transformers import PreTrainedTokenizerFast

# What leads to an end soonest comes first. Inside a string: its end, then what formats ask for.
IN_STRING = ('"', ":", "@", "0", "a")
OUTSIDE = ("}", "]", "null", "n", "0", "1", '"', "[", "{")


class Guide:
    """One text under a grammar, with llguidance."""

    def __init__(self, tokens: LLTokenizer, grammar: str, ends: Iterable[int]) -> None:
        from llguidance import LLMatcher

        self._matcher = LLMatcher(tokens, grammar, log_level=0)
        self._tokens, self._ends = tokens, frozenset(ends)
        self._ids: list[int] = []
        self._text = b""
        self._need: int | None = None  # tokens of the ending that was found at the start; none: 0
        self._done = False
        self.string: list[int] = []  # the ids of the string that is being written

    @property
    def finished(self) -> bool:
        """Whether nothing can be added any more."""
        return self._done or self._matcher.is_stopped()

    def forced(self) -> list[int]:
        """The ids that must come next, taken as written."""
        ids: list[int] = self._matcher.compute_ff_tokens()
        return self._take(ids)

    def choose(self, logits: torch.Tensor, left: int) -> list[int]:
        """The most probable allowed id of `logits` (vocabulary,) and those it forces; none: the end.

        Instead come the ids of a way to finish, when it needs all of the `left` tokens or has to be taken.
        """
        if self._need is None:
            self._need = len(self.ending(left) or [])
        if circles(self._ids) and (way := self.ending(left)) is not None:
            return self._end(way)
        token = int(self._masked(logits).argmax())
        if token in self._ends:
            return self._end([])
        # Looked at only when it may matter: an ending grows as objects open, but not by this much at once.
        near = self._need and left <= 2 * self._need + 64
        if near and self.ending(left - 1, [token]) is None and (way := self.ending(left)) is not None:
            return self._end(way)
        self._take([token])
        return [token, *self.forced()]

    def ending(self, longest: int, first: Sequence[int] = ()) -> list[int] | None:
        """The ids of a short way to finish, at most `longest`; None when none is found.

        With `first`, the way from where those ids lead.
        """
        matcher, text, ids = self._matcher.deep_copy(), self._text, list[int]()
        new = list(first)
        while matcher.consume_tokens(new) and len(ids) <= longest:
            text += self._tokens.decode_bytes(new)
            if matcher.is_accepting():
                return ids
            new = matcher.compute_ff_tokens() or self._one(matcher, in_string(text))
            if not new:
                break
            ids += new
        return None

    def _one(self, matcher: LLMatcher, inside: bool) -> list[int]:
        """An allowed id that leads to an end soon."""
        for ids in _single(self._tokens, IN_STRING if inside else OUTSIDE):
            if matcher.validate_tokens(ids) == 1:
                return ids
        return next(([int(i)] for i in _allowed(matcher) if int(i) not in self._ends), [])

    def _masked(self, logits: torch.Tensor) -> torch.Tensor:
        import torch

        masked = torch.full_like(logits, float("-inf"))
        allowed = torch.from_numpy(_allowed(self._matcher)).to(logits.device)
        masked[allowed] = logits[allowed]
        return masked

    def _take(self, ids: list[int]) -> list[int]:
        self._matcher.consume_tokens(ids)
        self._ids += ids
        for token in ids:
            more = self._tokens.decode_bytes([token])
            self._text += more
            self.string = [*self.string, token] if b'"' not in more and in_string(self._text) else []
        return ids

    def _end(self, way: list[int]) -> list[int]:
        self._done = True
        return self._take(way)


def circles(tokens: list[int] | list[str]) -> bool:
    """Whether a text goes round in a circle.

    Its end is one piece four times over, and 32 tokens long; or its last 48 tokens have stood there before.
    """
    lengths = ((piece, max(32, 4 * piece)) for piece in range(1, 65))
    if any(tokens[-n + piece :] == tokens[-n:-piece] for piece, n in lengths if n <= len(tokens)):
        return True
    end = tokens[-48:]
    return any(tokens[i : i + 48] == end for i in range(len(tokens) - 48) if tokens[i] == end[0])


def in_string(text: bytes) -> bool:
    """Whether the end of a JSON text lies inside a string.

    >>> in_string(b'{"a')
    True
    """
    return re.sub(rb"\\.", b"", text, flags=re.DOTALL).count(b'"') % 2 == 1  # escaped quotes end nothing


def _allowed(matcher: LLMatcher) -> Any:
    """The ids that may come next, as an array."""
    import numpy as np

    bits = np.unpackbits(np.frombuffer(matcher.compute_bitmask(), np.uint8), bitorder="little")
    return bits.nonzero()[0]


@cache
def _single(tokens: LLTokenizer, texts: tuple[str, ...]) -> list[list[int]]:
    """The texts that are one token each."""
    return [ids for text in texts if len(ids := tokens.tokenize_str(text)) == 1]


class Guides:
    """Makes the guides of one tokenizer; its half of the work, up to a second, is done with the first one."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, vocabulary: int, ends: Collection[int]) -> None:
        self._parts = tokenizer, vocabulary, ends
        self._tokens: LLTokenizer | None = None
        self._lock = threading.Lock()

    def of(self, schema: dict[str, Any]) -> Guide:
        """The guide to texts that fit the schema.

        Raises:
            UnsupportedSchema: it can't be enforced.
        """
        tokenizer, vocabulary, ends = self._parts
        grammar = grammar_of(schema)
        with self._lock:
            if self._tokens is None:
                from llguidance.hf import from_tokenizer

                self._tokens = from_tokenizer(tokenizer, n_vocab=vocabulary, eos_token=list(ends))
        return Guide(self._tokens, grammar, ends)
