"""The same pipeline with LangChain, LangGraph and LlamaIndex."""
