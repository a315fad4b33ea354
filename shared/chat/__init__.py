"""The chat client, and the errors of a Messages API."""
