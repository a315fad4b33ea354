"""The rows: read, written, curated, made by a stronger model."""
