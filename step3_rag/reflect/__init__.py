"""Was it found? How sure the search is, and other ways to ask."""
