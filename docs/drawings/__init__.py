"""Drawings for the lessons and the README, as SVG: each module but svg.py draws one picture."""
