"""Data for the recipe `agent`: tasks of an office, solved by a program with the real tools."""
