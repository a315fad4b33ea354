"""Helpers for the other modules: text and tokens, the parts of a model."""
