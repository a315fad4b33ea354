"""How our engines choose tokens: greedily, with a mild repetition penalty, several in one pass if possible.

    logits      (tokens, vocabulary): a row for each token that a forward pass read
    penalize    recent words become less probable
    argmax      the most probable token is chosen: the same request gives the same text
    propose     prompt lookup: a pass also reads tokens that may come next ...
    accept      ... and those that the model itself would have chosen are kept
    end         an end token, a limit, or a text that repeats itself

Prompt lookup copies what is repeated, such as a tool's result or a quotation:

    prompt      ... the notice period is 90 days and begins ...
    output      The notice period is
    proposed    90 days and begins      followed "period is" the first time; read in the same pass as "is"
    accepted    90 days                 as long as the model itself would choose the next proposed token
    new         90 days.                the model's choice after the last accepted token comes for free

One forward pass yields three tokens instead of one, and takes hardly longer: it waits for the weights. Every
token is still the model's own choice, so the text is the same as without lookup. A wrong proposal costs its
share of the arithmetic.

Used by on_transformers.py for one sequence, and by step 5's batching engine for many.

In Leviathan et al. 2023 (arXiv:2211.17192) a small model proposes; Saxena 2023 looks proposals up in the
prompt (https://github.com/apoorvumang/prompt-lookup-decoding); vLLM has it as `ngram`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedTokenizerFast

# With greedy decoding, a 135M model often repeats itself: 6 of 17 answers of 300 tokens did. A mild
# repetition penalty (Keskar et al. 2019, arXiv:1909.05858) on the last words prevents most of that, and an
# answer that still repeats itself ends there. Only tokens with letters are penalized: numbers, punctuation
# and white space recur in any text. In JSON, only the current string counts: names and values may recur.
PENALTY = 1.1
WINDOW = 128  # tokens

NGRAM = 2  # tokens that are looked up


# --- penalty ----------------------------------------------------------------------------------------------


def penalize(logits: Tensor, recent: Sequence[Collection[int]], is_word: Callable[[int], bool]) -> None:
    """Make recent words less probable, in place.

    logits: (tokens, vocabulary); `recent`: for each of its rows, the tokens that were written before.
    """
    rows: list[int] = []
    words: list[int] = []
    for row, tokens in enumerate(recent):
        for token in set(tokens):
            if is_word(token):
                rows.append(row)
                words.append(token)
    if rows:
        scores = logits[rows, words]  # (words of all rows,)
        smaller = (scores / PENALTY).where(scores > 0, scores * PENALTY)
        logits[rows, words] = smaller


def word_test(tokenizer: PreTrainedTokenizerFast) -> Callable[[int], bool]:
    """A function that says whether a token contains a letter, or part of one."""

    @cache
    def is_word(token: int) -> bool:
        text = str(tokenizer.decode([token]))
        return any(letter.isalpha() or letter == "\N{REPLACEMENT CHARACTER}" for letter in text)

    return is_word


# --- prompt lookup ----------------------------------------------------------------------------------------


class PromptLookup:
    """Proposes the next tokens of one sequence: what followed its last two tokens the first time.

    The first place is mostly the source itself; later ones are often only in part the same.
    """

    def __init__(self) -> None:
        self._after: dict[tuple[int, ...], int] = {}  # two tokens -> the place after their first occurrence
        self._indexed = NGRAM  # pairs that end before this place are in `_after`

    def propose(self, token_ids: list[int], most: int) -> list[int]:
        """Up to `most` tokens that may come next.

        `token_ids`: the prompt and the output so far, which have only grown since the last call.
        """
        for end in range(self._indexed, len(token_ids)):
            self._after.setdefault(tuple(token_ids[end - NGRAM : end]), end)
        self._indexed = max(self._indexed, len(token_ids))
        start = self._after.get(tuple(token_ids[-NGRAM:]))
        return [] if start is None else token_ids[start : start + most]


def accept(proposed: Sequence[int], choices: Sequence[int], ends: Collection[int]) -> list[int]:
    """The next tokens: proposals as long as the model chooses the same, and its choice after them.

    `choices` (proposals + 1,): what the model chooses before each proposal, and after the last one. A token
    of `ends` is the last.
    """
    accepted: list[int] = []
    for proposal, choice in zip(proposed, choices, strict=False):
        if choice != proposal or choice in ends:
            return [*accepted, choice]
        accepted.append(choice)
    return [*accepted, choices[len(proposed)]]


# --- the end of a text ------------------------------------------------------------------------------------


def end_tokens(eos: int | Iterable[int] | None, tokenizer: PreTrainedTokenizerFast) -> frozenset[int]:
    """Ids that end an answer: the model's own, and all special tokens, which are never part of a text."""
    if eos is None:
        eos = ()
    elif isinstance(eos, int):
        eos = (eos,)
    return frozenset([*eos, *tokenizer.all_special_ids])


def is_repeating(tokens: Sequence[int]) -> bool:
    """Whether a text repeats itself at its end.

    Either a piece of up to 64 tokens stands four times in a row (32 tokens or more in all), or the last 48
    tokens stand earlier in the text, too.
    """
    for piece in range(1, 65):
        length = max(32, 4 * piece)
        if length <= len(tokens) and tokens[-length + piece :] == tokens[-length:-piece]:
            return True
    end = tokens[-48:]
    for start in range(len(tokens) - 48):
        if tokens[start] == end[0] and tokens[start : start + 48] == end:
            return True
    return False
