"""From a question to passages: keywords, meaning, fusion, reranking."""
