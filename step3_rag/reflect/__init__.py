"""Judge a search, and search again in other ways."""
