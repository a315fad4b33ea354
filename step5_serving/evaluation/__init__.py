"""Answers made again and compared: replay, prompts side by side."""
