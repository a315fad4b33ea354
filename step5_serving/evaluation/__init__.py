"""Calls answered again and compared: replay, two prompts side by side, calls to label."""
