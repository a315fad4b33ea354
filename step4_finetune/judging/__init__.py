"""Passages with questions that they answer, and questions that they don't: data for the recipe `judge`."""
