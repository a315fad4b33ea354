"""The baseline: hybrid search as LangChain's documentation has it, on the same chunks and vectors.

    $ python -m step3_rag evaluate --dataset beir:scifact --ensemble

    >>> ensemble(retriever)("When does it renew?")[:3]
    [1742, 88, 12]

An EnsembleRetriever over a BM25Retriever and the vector store's own retriever, half and half. Two things
differ from ours, and both cost: BM25Retriever splits on spaces, so that "Renewal." is another word than
"renewal" and "the" counts like any; and the fusion looks at ranks only (RRF). Then it ends: no second look.

It lives in `langchain_classic`, and BM25Retriever in `langchain_community`, which is no longer maintained.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from langchain_chroma import Chroma
from langchain_classic.retrievers import EnsembleRetriever
from langchain_core.documents import Document

from shared.errors import UserError
from step3_rag.retrieve.search import Retriever

DEPTH = 100


def ensemble(retriever: Retriever, depth: int = DEPTH) -> Callable[[str], list[int]]:
    """A function from a query to chunk ids, best first, at most `depth`; of the chunks as they are now.

    Raises:
        UserError: rank-bm25 is not installed.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that it is being sunset: see above
        from langchain_community.retrievers import BM25Retriever
    chunks = retriever.index.chunks(retriever.snapshot.ids.tolist())
    # Our keyword index reads a chunk under its title, and so does the embedder: so shall this one.
    documents = [Document(f"{chunk.title}\n{chunk.text}", id=str(chunk.id)) for chunk in chunks]
    try:
        keywords = BM25Retriever.from_documents(documents, k=depth)
    except ImportError:
        raise UserError(
            'the EnsembleRetriever needs rank-bm25: pip install -c constraints.txt ".[frameworks]"'
        ) from None
    # The ensemble takes documents of the same text for one; the store has the chunks without titles.
    keywords.docs = [Document(chunk.text, id=str(chunk.id)) for chunk in chunks]
    store: Any = retriever.store
    embedder: Any = retriever.embedder  # it has the methods of LangChain's Embeddings
    chroma = Chroma(store.collection.name, embedder, client=store.client)
    meaning = chroma.as_retriever(search_kwargs={"k": min(depth, len(chunks))})
    both = EnsembleRetriever(retrievers=[keywords, meaning], weights=[0.5, 0.5])
    return lambda query: [int(each.id or 0) for each in both.invoke(query)][:depth]
