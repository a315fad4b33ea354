"""The chat client, and what can go wrong on the way to a Messages API."""
