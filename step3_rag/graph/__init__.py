"""GraphRAG: names and relations of the documents as a graph, and what can be asked of it."""
