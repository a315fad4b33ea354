"""Passages with questions that they answer; data for the recipe `judge`."""
