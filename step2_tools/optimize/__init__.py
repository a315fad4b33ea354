"""DSPy searches for a better prompt on the dev questions; the test questions evaluate it."""
