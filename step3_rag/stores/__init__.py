"""Vector stores: Chroma, FAISS, Weaviate, Pinecone."""
