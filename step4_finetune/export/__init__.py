"""Hand a tuned model on: merged, as GGUF, as an adapter."""
