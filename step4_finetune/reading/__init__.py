"""A small encoder learns to read: which sentence of a passage answers a question, or that none does."""
