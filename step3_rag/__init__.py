"""Step 3: retrieval. Documents in, measured answers with sources out, and an honest "I don't know"."""
