"""What generates the text: our batcher, other engines, and how one is chosen."""
