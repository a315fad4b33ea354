"""Does a passage answer a question? The embedded model judges it, with an adapter trained for this.

    >>> judge = Judge.load(load_settings())
    >>> passages = ["Either party may leave after 60 days.", "Rent is due monthly."]
    >>> judge.probabilities("How long is the notice?", passages)
    [0.94, 0.03]

The model reads the passage and the question and predicts " yes" or " no" as the next token; the result is the
probability of " yes", given that it is one of the two. `python -m step4_finetune train --recipe judge` trains
such an adapter on texts made by `passage_text` and `question_text`.

Source: the retrieval evaluator of Corrective RAG, Yan et al. 2024, https://arxiv.org/abs/2401.15884
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.catalog import default
from shared.config import Settings
from shared.embedded.adapter import Adapter

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

JUDGE = Path(__file__).with_name("adapters") / "judge"
YES, NO = " yes", " no"
PASSAGE_TOKENS = 320  # a longer passage is cut
CACHE_SIZE = 2000  # judgements


def passage_text(passage: str) -> str:
    """The first part of what the model reads."""
    return f"Passage: {' '.join(passage.split())}\n"


def question_text(question: str) -> str:
    """The second part, after which the model predicts YES or NO."""
    return f"Query: {' '.join(question.split())}\nAnswered:"


class Judge:
    """A loaded model with the adapter. Judging any number of passages takes one forward pass."""

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, adapter: Adapter) -> None:
        self.model, self.tokenizer = model, tokenizer
        adapter.active = True
        self._cache: dict[tuple[str, str], float] = {}  # (question, passage) -> probability
        self.answer_ids = [tokenizer.encode(each, add_special_tokens=False)[0] for each in (YES, NO)]

    @classmethod
    def load(cls, settings: Settings, folder: Path = JUDGE) -> Judge:
        """The catalog's default chat model, whichever model the settings name, with the folder's adapter.

        Raises:
            UserError: the folder has no adapter, a damaged one, or one for another model.
        """
        from shared.models import load_causal_lm, load_tokenizer

        base = default("chat")
        model, tokenizer = load_causal_lm(base.id, settings=settings), load_tokenizer(base.id, settings)
        hub = base.hub.repo if base.hub else None
        return cls(model, tokenizer, Adapter.load(folder, model, hub))

    def probabilities(self, question: str, passages: Sequence[str]) -> list[float]:
        """For each passage, the probability that it answers the question, 0 to 1.

        Judgements are cached: a second search returns many of the same passages.
        """
        cache = self._cache if len(self._cache) < CACHE_SIZE else {}
        new = [each for each in dict.fromkeys(passages) if (question, each) not in cache]
        judged = zip(new, self._judge(question, new), strict=True)
        self._cache = cache = cache | {(question, each): probability for each, probability in judged}
        return [cache[question, each] for each in passages]

    def _judge(self, question: str, passages: Sequence[str]) -> list[float]:
        import torch

        if not passages:
            return []
        question_ids = self.tokenizer.encode(question_text(question), add_special_tokens=False)
        rows = []
        for passage in passages:
            ids = self.tokenizer.encode(passage_text(passage), add_special_tokens=False)
            rows.append(ids[:PASSAGE_TOKENS] + question_ids)
        batch = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.long)  # (passages, tokens)
        mask = torch.zeros_like(batch)
        for i, row in enumerate(rows):
            batch[i, : len(row)], mask[i, : len(row)] = torch.tensor(row), 1
        last = torch.tensor([len(row) - 1 for row in rows])
        model: Any = self.model
        with torch.inference_mode():
            output = model.model(batch.to(model.device), attention_mask=mask.to(model.device))
            last_states = output.last_hidden_state[torch.arange(len(rows)), last]
            logits = model.lm_head(last_states)  # (passages, vocabulary)
        return logits[:, self.answer_ids].float().softmax(-1)[:, 0].tolist()
