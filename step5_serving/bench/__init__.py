"""Measurements: engines under load, fewer bits, capacity."""
