"""From logits to the next tokens of every sequence.

    logits     (tokens, vocabulary), float32: one row for each token of the forward pass
    penalty    recent words become less probable
    greedy     the argmax of a row
    proposed   accepted as long as it equals the greedy choice
    guided     the best token that the JSON schema allows

Each row is handled by itself, so a sequence's token does not depend on other sequences. Penalty and proposals
are those of every engine (shared/embedded/decoding.py).
"""

from collections.abc import Callable

from torch import Tensor

from shared.embedded.decoding import WINDOW, accept, penalize
from step5_serving.engines.batching.scheduler import Span


class Sampler:
    """Chooses tokens. `is_word` says whether a token has letters: only those are penalized."""

    def __init__(self, is_word: Callable[[int], bool]) -> None:
        self._is_word = is_word

    def sample(self, spans: list[Span], logits: Tensor) -> list[list[int] | Exception]:
        """The new tokens of each span's sequence; an error where its guide failed.

        Proposed tokens are accepted as long as each is the choice after those before it; one more token comes
        from the logits of the last accepted one. A sequence whose guide wrote several tokens at once gets
        none until they are computed.
        """
        recent: list[list[int]] = []
        for span in spans:
            recent += _recent(span)
        penalize(logits, recent, self._is_word)
        greedy = logits.argmax(1).tolist()  # (tokens,)
        new: list[list[int] | Exception] = []
        first = 0
        for span in spans:
            last = first + len(span.ids)
            new.append(self._next(span, greedy[first:last], logits[first:last]))
            first = last
        return new

    def _next(self, span: Span, greedy: list[int], logits: Tensor) -> list[int] | Exception:
        """The new tokens of one sequence. greedy: (tokens,), logits: (tokens, vocabulary), of its span."""
        sequence = span.sequence
        if span.end < len(sequence.token_ids):
            return []
        if sequence.guide:
            try:
                return sequence.guide.choose(logits[-1], sequence.max_tokens - len(sequence.output))
            except Exception as error:  # of this grammar: the other sequences go on
                return error
        return accept(span.proposed_ids, greedy[span.known - 1 :], sequence.ends)


def _recent(span: Span) -> list[list[int]]:
    """The tokens that are penalized after each token of a span: the last ones of output and proposals.

    In JSON, those of the string that is being written.
    """
    if span.sequence.guide:
        return [span.sequence.guide.string for _ in span.ids]
    recent: list[list[int]] = [[]] * (span.known - 1)  # the tokens after these are known
    output = list(span.sequence.output)
    recent.append(output[-WINDOW:])
    for token in span.proposed_ids:
        output.append(token)
        recent.append(output[-WINDOW:])
    return recent
