"""How near are two texts in meaning? Cosines of sentence embeddings, by the house's own embedder.

    >>> meaning = Meaning(settings)
    >>> meaning.cosines(["Do I need a jacket in Lima?"], ["Get the weather in a city.", "Get a stock price."])
    [[0.24, -0.03]]

The embedder is MiniLM (22 M parameters, mean of the last layer's vectors, length 1: Reimers and Gurevych
2019, arXiv:1908.10084), read by transformers alone: importing sentence-transformers takes seconds.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from shared.config import Settings

if TYPE_CHECKING:
    import torch

LONGEST = 128  # tokens


class Meaning:
    """Loads the embedder when it is first asked, and remembers what it has read."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._known: dict[str, torch.Tensor] = {}

    @cached_property
    def _parts(self) -> tuple[Any, Any]:
        from shared.models import weights
        from shared.models.quiet import quiet_transformers

        folder = weights.ensure(self.settings.embedder, self.settings)
        transformers = quiet_transformers()
        options = {"local_files_only": True, "trust_remote_code": False}
        model = transformers.AutoModel.from_pretrained(folder, use_safetensors=True, **options)
        return transformers.AutoTokenizer.from_pretrained(folder, **options), model.eval()

    def cosines(self, texts: list[str], others: list[str]) -> list[list[float]]:
        """Cosines, -1 to 1, one row for each text."""
        found: list[list[float]] = (self._embed(texts) @ self._embed(others).T).tolist()
        return found

    def _embed(self, texts: list[str]) -> torch.Tensor:
        """Vectors of length 1, shape (n, dim)."""
        import torch

        new = sorted(set(texts) - self._known.keys())
        if len(self._known) > 2000:
            self._known.clear()
            new = sorted(set(texts))
        if new:
            tokenizer, model = self._parts
            batch = tokenizer(new, padding=True, truncation=True, max_length=LONGEST, return_tensors="pt")
            with torch.inference_mode():
                hidden = model(**batch).last_hidden_state.float()  # (n, tokens, dim)
            mask = batch["attention_mask"][..., None]
            mean = (hidden * mask).sum(1) / mask.sum(1)
            self._known |= dict(zip(new, torch.nn.functional.normalize(mean, dim=1), strict=True))
        return torch.stack([self._known[text] for text in texts])
