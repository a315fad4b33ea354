"""From passages to an answer with sources."""
