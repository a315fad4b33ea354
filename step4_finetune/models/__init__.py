"""Models and adapters: sizes, merging, generation."""
