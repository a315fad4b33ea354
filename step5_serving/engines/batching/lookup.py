"""Speculative decoding by prompt lookup: an answer that quotes its sources can be copied from the prompt.

    prompt      ... the notice period is 90 days and begins ...
    output      The notice period is
    lookup      its last two tokens, "period is", are in the prompt, followed by "90 days and begins"
    proposed    90 days and begins      computed in the same forward pass as "is"
    accepted    90 days                 as long as the model itself would choose the next proposed token
    new         90 days.                the model's choice after the last accepted token comes for free

One forward pass yields three tokens instead of one, and takes hardly longer: it waits for the weights. Every
token is still the model's own choice, so the text is the same as without lookup. A wrong proposal costs its
share of the arithmetic; its keys and values are overwritten by the next tokens.

In Leviathan et al. 2023 (arXiv:2211.17192) a small model proposes; Saxena 2023 looks proposals up in the
prompt (https://github.com/apoorvumang/prompt-lookup-decoding); vLLM has it as `ngram`.
"""

NGRAM = 2  # tokens that are looked up


class PromptLookup:
    """The first place of each pair of tokens in a prompt."""

    def __init__(self, prompt: list[int]) -> None:
        self._prompt, self._after = prompt, dict[tuple[int, ...], int]()
        for end in range(NGRAM, len(prompt)):
            self._after.setdefault(tuple(prompt[end - NGRAM : end]), end)

    def propose(self, token_ids: list[int], most: int) -> list[int]:
        """Up to `most` tokens that may come next: those that follow the last two in the prompt."""
        place = self._after.get(tuple(token_ids[-NGRAM:]))
        return [] if place is None else self._prompt[place : place + most]
