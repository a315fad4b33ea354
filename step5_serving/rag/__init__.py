"""Step 3 behind the service: its index, its search and its answers, in threads."""
