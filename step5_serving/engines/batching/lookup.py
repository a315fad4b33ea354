"""Speculative decoding by prompt lookup: an answer that quotes its sources can be read off them.

    prompt      ... the notice period is 90 days and begins ...
    output      The notice period is
    lookup      its last two tokens, "period is", stand in the prompt; "90 days and begins" follows there
    proposed    90 days and begins      computed in the same forward pass as "is", at their places
    accepted    90 days                 where the model's own choice after each is the next one
    new         90 days.                what it chose after the last that was accepted comes for free

One forward pass writes three tokens instead of one, and takes hardly longer: it waits for the weights. Every
token is still the model's own choice, so the text is the one without lookup. A proposal that was wrong costs
its share of the arithmetic, and its keys and values are overwritten by the next tokens.

Leviathan et al. 2023 (arXiv:2211.17192) let a small model propose; Saxena 2023 looked proposals up in the
prompt (https://github.com/apoorvumang/prompt-lookup-decoding); vLLM has it as `ngram`.
"""

from __future__ import annotations

NGRAM = 2  # tokens that are looked up


class PromptLookup:
    """Where each pair of tokens of a prompt stands first."""

    def __init__(self, prompt: list[int]) -> None:
        self._prompt, self._after = prompt, dict[tuple[int, ...], int]()
        for end in range(NGRAM, len(prompt)):
            self._after.setdefault(tuple(prompt[end - NGRAM : end]), end)

    def propose(self, token_ids: list[int], most: int) -> list[int]:
        """Up to `most` tokens that may come next: those that followed the last ones in the prompt."""
        place = self._after.get(tuple(token_ids[-NGRAM:]))
        return [] if place is None else self._prompt[place : place + most]
