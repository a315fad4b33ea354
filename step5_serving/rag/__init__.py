"""Step 3 behind the service: its index, its search, its answers, in threads."""
