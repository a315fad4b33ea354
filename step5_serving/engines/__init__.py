"""What writes the text: the batcher, other engines, and how one is chosen."""
