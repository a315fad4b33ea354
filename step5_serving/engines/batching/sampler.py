"""From logits to the next tokens of every sequence.

    logits     (n, vocabulary), float32: one row for each token of the forward pass
    penalty    recent words become less probable, as in shared/embedded/on_transformers.py
    greedy     the argmax of a row
    proposed   accepted as long as it equals the greedy choice (lookup.py)
    guided     the best token that the JSON schema allows

Each row is handled by itself, so a sequence's token does not depend on other sequences.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from shared.embedded.on_transformers import PENALTY, WINDOW
from step5_serving.engines.batching.scheduler import Span


class Sampler:
    """Chooses tokens. `is_word` says whether a token has letters: only those are penalised."""

    def __init__(self, is_word: Callable[[int], bool]) -> None:
        self._is_word = is_word

    def sample(self, spans: list[Span], logits: Tensor) -> list[list[int] | Exception]:
        """The new tokens of each span's sequence; an error where its guide failed.

        Proposed tokens are accepted as long as each is the choice after those before it; one more token comes
        from the logits of the last accepted one. A sequence whose guide wrote several tokens at once gets
        none until they are computed.
        """
        self._penalise(logits, [recent for span in spans for recent in _recent(span)])
        greedy = logits.argmax(1).tolist()
        new, first = list[list[int] | Exception](), 0
        for span in spans:
            last = first + len(span.ids)
            new.append(self._next(span, greedy[first:last], logits[first:last]))
            first = last
        return new

    def _next(self, span: Span, greedy: list[int], logits: Tensor) -> list[int] | Exception:
        sequence = span.sequence
        if span.end < len(sequence.token_ids):
            return []
        if sequence.guide:
            try:
                return sequence.guide.choose(logits[-1], sequence.max_tokens - len(sequence.output))
            except Exception as error:  # of this grammar: the other sequences go on
                return error
        new = list[int]()
        for i in range(len(span.ids) - 1 - span.proposed, len(span.ids)):
            new.append(greedy[i])
            if new[-1] in sequence.ends or new[-1:] != span.ids[i + 1 : i + 2]:
                break
        return new

    def _penalise(self, logits: Tensor, recent: list[list[int]]) -> None:
        """Make recent words less probable, in place; `recent`: their ids, for each row."""
        places = [
            (row, token) for row, tokens in enumerate(recent) for token in {*tokens} if self._is_word(token)
        ]
        if places:
            rows, words = torch.tensor(places).T
            scores = logits[rows, words]
            logits[rows, words] = torch.where(scores > 0, scores / PENALTY, scores * PENALTY)


def _recent(span: Span) -> list[list[int]]:
    """The tokens that are penalised after each token of a span: the last ones of output and proposals.

    In JSON, those of the string that is being written.
    """
    sequence, known = span.sequence, len(span.ids) - span.proposed
    if sequence.guide:
        return [sequence.guide.string] * len(span.ids)
    output = sequence.output + span.ids[known:]
    ends = range(len(sequence.output), len(output) + 1)
    return [[]] * (known - 1) + [output[max(0, end - WINDOW) : end] for end in ends]
