"""Helpers of the lessons: text and tokens, the parts of a model, memory."""
