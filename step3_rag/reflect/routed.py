"""Search the collections that the router names, and all of them where that looks bad."""

from __future__ import annotations

import dataclasses

from step3_rag.ingest.embed import Encoded
from step3_rag.reflect.confidence import confidence
from step3_rag.reflect.reflect import THRESHOLD
from step3_rag.retrieve.route import Router
from step3_rag.retrieve.search import Found, Options, Retriever


def search(
    retriever: Retriever, router: Router, query: str, options: Options, encoded: Encoded
) -> tuple[Found, tuple[str, ...]]:
    """Search where the router says; everything, if that looks bad. Also tells what was searched."""
    route = router.route(encoded.vector)
    found = retriever.search(query, dataclasses.replace(options, collections=route), encoded)
    said = confidence(found, retriever)
    if route and said < THRESHOLD:
        return retriever.search(query, options, encoded), ()
    return found, route
