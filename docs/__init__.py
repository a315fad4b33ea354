"""Build tools, not shipped: `make docs` fills in the lessons, `make site` builds the website."""
