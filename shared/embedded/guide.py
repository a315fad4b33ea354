"""Keeps a text to a JSON schema: which tokens may come next, which must, and how the text can end.

    >>> grammar_of({"type": "array", "uniqueItems": True})
    UnsupportedSchema: Unimplemented keys: ["uniqueItems"]
    >>> guide = Guide(tokenizer, vocabulary, ends, schema)
    >>> guide.forced()                         # ids that must come first, such as those of {"name": "
    >>> guide.choose(logits, tokens_left=80)   # the best allowed id, and the ids that it forces

llguidance makes a grammar of the schema and refuses what it can't enforce. The only white space in the text
is one space after each comma and colon.

Inside JSON, a small model may repeat itself without end. So the guide looks for a short way to finish the
text, and takes it when the text repeats itself or when the remaining tokens are only just enough. The text
then fits the schema, whatever else the model wanted to write.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

import jsonschema
import numpy as np
from llguidance import LLMatcher

from shared.embedded.decoding import is_repeating

if TYPE_CHECKING:  # torch is loaded with the engine, not with the first client
    from llguidance import LLTokenizer
    from torch import Tensor
    from transformers import PreTrainedTokenizerFast

# Tokens to finish a text with, in the order to try them. In a string: its quote, then what formats need.
IN_STRING = ('"', ":", "@", "0", "a")
OUTSIDE = ("}", "]", "null", "n", "0", "1", '"', "[", "{")
OPTIONS: Any = {
    "item_separator": ", ",
    "key_separator": ": ",
    "whitespace_flexible": False,
    "coerce_one_of": False,
    "lenient": False,
}


class UnsupportedSchema(ValueError):
    """The schema, or the part named in the message, can't be enforced."""


class Guide:
    """One text that fits a schema."""

    def __init__(
        self, tokenizer: PreTrainedTokenizerFast, vocabulary: int, ends: frozenset[int], schema: Any
    ) -> None:
        """`vocabulary` is the number of logits, `ends` are the ids that end an answer.

        Raises:
            UnsupportedSchema: it can't be enforced.
        """
        grammar = grammar_of(schema)
        self._tokens = _tokens_of(tokenizer, vocabulary, ends)
        self._ends = ends
        self._matcher = LLMatcher(self._tokens, grammar, log_level=0)
        self._ids: list[int] = []
        self._text = b""
        self._shortest: int | None = None  # length of the ending found at the start; 0 if there was none
        self._done = False
        self.string: list[int] = []  # ids of the string that is being written

    @property
    def finished(self) -> bool:
        """Whether nothing can follow."""
        return self._done or self._matcher.is_stopped()

    def forced(self) -> list[int]:
        """The ids that must come next. They are appended to the text."""
        ids: list[int] = self._matcher.compute_ff_tokens()
        return self._append(ids)

    def choose(self, logits: Tensor, tokens_left: int) -> list[int]:
        """The most probable allowed id of `logits` (vocabulary,) and the ids it forces; empty: the text ends.

        Returns an ending instead when the text repeats itself, or when no other continuation would leave
        enough of the `tokens_left` to finish.
        """
        if self._shortest is None:
            self._shortest = len(self.find_ending(tokens_left) or [])
        token = int(self._masked(logits).argmax())
        if is_repeating(self._ids) or self._leaves_no_ending(token, tokens_left):
            ending = self.find_ending(tokens_left)
            if ending is not None:
                return self._finish(ending)
        if token in self._ends:
            return self._finish([])
        self._append([token])
        return [token, *self.forced()]

    def _leaves_no_ending(self, token: int, tokens_left: int) -> bool:
        """Whether the text could not be finished any more after this token."""
        # Searched only near the limit: an ending grows as objects open, but not by this much at once.
        is_near_limit = self._shortest and tokens_left <= 2 * self._shortest + 64
        if not is_near_limit or token in self._ends:
            return False
        return self.find_ending(tokens_left - 1, [token]) is None

    def find_ending(self, max_tokens: int, after: Sequence[int] = ()) -> list[int] | None:
        """The ids of a short way to finish the text, at most `max_tokens`; None if none is found.

        With `after`, the ending of the text after those ids.
        """
        matcher = self._matcher.deep_copy()
        text = self._text
        ids: list[int] = []  # of the ending
        new = list(after)
        while matcher.consume_tokens(new) and len(ids) <= max_tokens:
            text += self._tokens.decode_bytes(new)
            if matcher.is_accepting():
                return ids
            new = matcher.compute_ff_tokens() or self._step_to_end(matcher, in_string(text))
            if not new:
                break
            ids += new
        return None

    def _step_to_end(self, matcher: LLMatcher, inside_string: bool) -> list[int]:
        """One allowed id that brings the end nearer; empty if no id is allowed."""
        for ids in _single_tokens(self._tokens, IN_STRING if inside_string else OUTSIDE):
            if matcher.validate_tokens(ids) == 1:
                return ids
        for token in _allowed_ids(matcher).tolist():
            if token not in self._ends:
                return [token]
        return []

    def _masked(self, logits: Tensor) -> Tensor:
        """The logits (vocabulary,), with minus infinity where the schema doesn't allow the token."""
        allowed = _allowed_ids(self._matcher)
        masked = logits.new_full(logits.shape, float("-inf"))
        masked[allowed] = logits[allowed]
        return masked

    def _append(self, ids: list[int]) -> list[int]:
        self._matcher.consume_tokens(ids)
        self._ids += ids
        for token in ids:
            piece = self._tokens.decode_bytes([token])
            self._text += piece
            continues_string = in_string(self._text) and b'"' not in piece
            self.string = [*self.string, token] if continues_string else []
        return ids

    def _finish(self, ids: list[int]) -> list[int]:
        self._done = True
        return self._append(ids)


def in_string(text: bytes) -> bool:
    """Whether the end of a JSON text lies inside a string.

    >>> in_string(b'{"a')
    True
    """
    return re.sub(rb"\\.", b"", text, flags=re.DOTALL).count(b'"') % 2 == 1  # without escaped quotes


def _allowed_ids(matcher: LLMatcher) -> np.ndarray:
    """The ids that may come next."""
    mask = np.frombuffer(matcher.compute_bitmask(), np.uint8)  # a bit for each id of the vocabulary
    bits = np.unpackbits(mask, bitorder="little")
    return bits.nonzero()[0]


@cache
def _single_tokens(tokens: LLTokenizer, texts: tuple[str, ...]) -> list[list[int]]:
    """The ids of those texts that are one token each, in a list each."""
    encoded = [tokens.tokenize_str(text) for text in texts]
    return [ids for ids in encoded if len(ids) == 1]


@lru_cache(maxsize=4)
def _tokens_of(tokenizer: PreTrainedTokenizerFast, vocabulary: int, ends: frozenset[int]) -> LLTokenizer:
    """The tokenizer as llguidance needs it; this takes up to a second."""
    from llguidance.hf import from_tokenizer  # here, because it imports transformers

    return from_tokenizer(tokenizer, n_vocab=vocabulary, eos_token=list(ends))


def grammar_of(schema: Any) -> str:
    """The schema as a grammar for llguidance.

    Raises:
        UnsupportedSchema: it is not a JSON schema, or part of it can't be enforced (the message says why).
    """
    try:
        return _grammar(json.dumps(schema, allow_nan=False))
    except (TypeError, RecursionError):
        raise UnsupportedSchema("the schema is not JSON, or too deep") from None


@lru_cache(maxsize=64)
def _grammar(text: str) -> str:
    schema = json.loads(text)
    if not isinstance(schema, dict):
        raise UnsupportedSchema("the schema must be an object")
    try:
        jsonschema.Draft202012Validator.check_schema(schema)
    except jsonschema.SchemaError as error:
        raise UnsupportedSchema(f"{error.json_path}: {error.message[:300]}") from None
    if '"x-guidance"' in text:  # would override OPTIONS
        raise UnsupportedSchema("x-guidance is not for schemas from outside")
    grammar = LLMatcher.grammar_from_json_schema(text, overrides=OPTIONS)
    failed, messages = LLMatcher.validate_grammar_with_warnings(grammar)
    if failed:
        raise UnsupportedSchema(" ".join(messages[0].split())[:300])
    return grammar
