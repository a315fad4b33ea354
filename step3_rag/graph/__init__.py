"""GraphRAG: a graph of the names and relations in documents, and questions to it."""
