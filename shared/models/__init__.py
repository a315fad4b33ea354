"""Loaders: from a model's name to an object of transformers or sentence-transformers.

>>> tokenizer, model = load_tokenizer("tiny"), load_causal_lm("tiny")
"""

from shared.models.load import load_causal_lm, load_embedder, load_encoder, load_tokenizer

__all__ = ["load_causal_lm", "load_embedder", "load_encoder", "load_tokenizer"]
