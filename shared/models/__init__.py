"""Loaders: a name goes in, the field's own object comes out.

>>> tokenizer, model = load_tokenizer("tiny"), load_causal_lm("tiny")
"""

from shared.models.load import load_causal_lm, load_embedder, load_encoder, load_tokenizer

__all__ = ["load_causal_lm", "load_embedder", "load_encoder", "load_tokenizer"]
