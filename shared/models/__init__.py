"""Loaders: from a model's name to an object of transformers or sentence-transformers.

>>> tokenizer, model = load_tokenizer("tiny"), load_causal_lm("tiny")

In this package, torch, transformers and sentence-transformers are imported inside functions: a search and the
engine on llama.cpp import these modules, use none of the three, and start seconds earlier.
"""

from shared.models.load import load_causal_lm, load_embedder, load_encoder, load_tokenizer

__all__ = ["load_causal_lm", "load_embedder", "load_encoder", "load_tokenizer"]
