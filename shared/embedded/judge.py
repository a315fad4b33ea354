"""Does a passage answer a question? The embedded model with an adapter that was trained to tell.

    >>> judge = Judge.load(load_settings())
    >>> passages = ["Either party may leave after 60 days.", "Rent is due monthly."]
    >>> judge.probabilities("How long is the notice?", passages)
    [0.94, 0.03]

The model reads passage and question and would go on with " yes" or " no"; the probability is that of " yes"
among the two. `python -m step4_finetune train --recipe judge` trains such an adapter on texts made by
`passage_text` and `question_text`.

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
LONGEST = 320  # tokens of a passage that are read
REMEMBERED = 2000  # judgements


def passage_text(passage: str) -> str:
    """What the model reads first."""
    return f"Passage: {' '.join(passage.split())}\n"


def question_text(question: str) -> str:
    """What it reads then; it goes on with YES or NO."""
    return f"Query: {' '.join(question.split())}\nAnswered:"


class Judge:
    """A loaded model with the adapter. One judgement is one forward pass."""

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, adapter: Adapter) -> None:
        self.model, self.tokenizer = model, tokenizer
        adapter.active = True
        self._known: dict[tuple[str, str], float] = {}
        self.answers = [tokenizer.encode(each, add_special_tokens=False)[0] for each in (YES, NO)]

    @classmethod
    def load(cls, settings: Settings, folder: Path = JUDGE) -> Judge:
        """The catalog's embedded model, whatever model chats, with the adapter of a folder.

        Raises:
            UserError: the folder holds no adapter, a damaged one, or one for another model.
        """
        from shared.models import load_causal_lm, load_tokenizer

        base = default("chat")
        model, tokenizer = load_causal_lm(base.id, settings=settings), load_tokenizer(base.id, settings)
        hub = base.hub.repo if base.hub else None
        return cls(model, tokenizer, Adapter.load(folder, model, hub))

    def probabilities(self, question: str, passages: Sequence[str]) -> list[float]:
        """How probable it is, for each passage, that it answers the question; 0 to 1.

        What was judged before is remembered, since a second search finds much of what the first one found.
        """
        known = self._known if len(self._known) < REMEMBERED else {}
        new = [each for each in dict.fromkeys(passages) if (question, each) not in known]
        said = self._read(question, new)
        self._known = known = known | {(question, each): value for each, value in zip(new, said, strict=True)}
        return [known[question, each] for each in passages]

    def _read(self, question: str, passages: Sequence[str]) -> list[float]:
        import torch

        if not passages:
            return []
        asked = self.tokenizer.encode(question_text(question), add_special_tokens=False)
        rows = [
            self.tokenizer.encode(passage_text(each), add_special_tokens=False)[:LONGEST] + asked
            for each in passages
        ]
        longest = max(map(len, rows))
        ids = torch.zeros(len(rows), longest, dtype=torch.long)  # (passages, tokens)
        mask = torch.zeros_like(ids)
        for at, row in enumerate(rows):
            ids[at, : len(row)], mask[at, : len(row)] = torch.tensor(row), 1
        last = torch.tensor([len(row) - 1 for row in rows])
        whole: Any = self.model
        with torch.inference_mode():
            states = whole.model(ids.to(whole.device), attention_mask=mask.to(whole.device)).last_hidden_state
            logits = whole.lm_head(states[torch.arange(len(rows)), last])  # (passages, vocabulary)
        found: list[float] = logits[:, self.answers].float().softmax(-1)[:, 0].tolist()
        return found
