"""Step 1 of the roadmap: what a language model does. Start with README.md."""
