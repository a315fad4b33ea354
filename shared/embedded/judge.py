"""Does a passage answer a question? The embedded model judges it, with an adapter trained for this.

    >>> judge = Judge.load(load_settings())
    >>> passages = ["Either party may leave after 60 days.", "Rent is due monthly."]
    >>> judge.probabilities("How long is the notice?", passages)
    [0.94, 0.03]

The model reads the passage and the question and predicts " yes" or " no" as the next token; the result is the
probability of " yes", given that it is one of the two. `python -m step4_finetune train --recipe judge` trains
such an adapter on texts made by `passage_text` and `question_text`.

Source: Corrective RAG, Yan et al. 2024, https://arxiv.org/abs/2401.15884
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.catalog import default
from shared.config import Settings
from shared.embedded.adapter import Adapter
from shared.models import load_causal_lm, load_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

JUDGE = Path(__file__).with_name("adapters") / "judge"
YES = " yes"
NO = " no"
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
        self.model = model
        self.tokenizer = tokenizer
        adapter.active = True
        self._cache: dict[tuple[str, str], float] = {}  # (question, passage) -> probability
        self.answer_ids = [self._encode(YES)[0], self._encode(NO)[0]]

    @classmethod
    def load(cls, settings: Settings, folder: Path = JUDGE) -> Judge:
        """The catalog's default chat model, whichever model the settings name, with the folder's adapter.

        Raises:
            UserError: the folder has no adapter, a damaged one, or one for another model.
        """
        base = default("chat")
        model = load_causal_lm(base.id, settings=settings)
        tokenizer = load_tokenizer(base.id, settings)
        hub = base.hub.repo if base.hub else None
        return cls(model, tokenizer, Adapter.load(folder, model, hub))

    def probabilities(self, question: str, passages: Sequence[str]) -> list[float]:
        """For each passage, the probability that it answers the question, 0 to 1.

        Judgements are cached: a second search returns many of the same passages.
        """
        if len(self._cache) >= CACHE_SIZE:
            self._cache = {}
        cache = self._cache  # another thread may replace it meanwhile
        unique = dict.fromkeys(passages)
        unjudged = [passage for passage in unique if (question, passage) not in cache]
        for passage, probability in zip(unjudged, self._judge(question, unjudged), strict=True):
            cache[question, passage] = probability
        return [cache[question, passage] for passage in passages]

    def _judge(self, question: str, passages: Sequence[str]) -> list[float]:
        """The same without the cache."""
        import torch  # here, because step 3 imports this module also where no model is loaded

        if not passages:
            return []
        question_ids = self._encode(question_text(question))
        rows: list[list[int]] = []
        for passage in passages:
            rows.append(self._encode(passage_text(passage))[:PASSAGE_TOKENS] + question_ids)
        longest = max(len(row) for row in rows)
        batch = torch.zeros(len(rows), longest, dtype=torch.long)  # (passages, tokens), padded at the end
        mask = torch.zeros_like(batch)
        for i, row in enumerate(rows):
            batch[i, : len(row)] = torch.tensor(row)
            mask[i, : len(row)] = 1
        last = mask.sum(1) - 1  # (passages,): the place of each row's last token
        model: Any = self.model
        with torch.inference_mode():
            output = model.model(batch.to(model.device), attention_mask=mask.to(model.device))
            states = output.last_hidden_state  # (passages, tokens, hidden)
            logits = model.lm_head(states[torch.arange(len(rows)), last])  # (passages, vocabulary)
        answers = logits[:, self.answer_ids].float()  # (passages, 2): " yes" and " no"
        return answers.softmax(-1)[:, 0].tolist()

    def _encode(self, text: str) -> list[int]:
        return self.tokenizer.encode(text, add_special_tokens=False)
