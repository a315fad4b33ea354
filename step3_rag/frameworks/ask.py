"""The same question by a framework: its search, then the same readers as the pipeline's.

    >>> sources, answer = ask("langgraph", retriever, "When does it renew?", "quote")

A framework's pipeline searches once, with the default options; it has no confidence, so it never abstains.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from shared.errors import UserError
from step3_rag.answer import read
from step3_rag.answer.context import Source
from step3_rag.frameworks.parts import Parts
from step3_rag.retrieve.search import Retriever

if TYPE_CHECKING:
    import anthropic

FRAMEWORKS = ("langchain", "llamaindex", "langgraph")


def ask(
    name: str,
    retriever: Retriever,
    question: str,
    client: anthropic.Anthropic | None = None,
    model: str = "",
    k: int = 5,
) -> tuple[list[Source], read.Answer]:
    """The passages that the framework finds, and an answer from them; quoted where there is no client.

    Raises:
        UserError: no such framework, or one that is not installed.
    """
    search = search_of(name)
    if client is None:
        sources = Parts(retriever).sources(list(search(retriever, question, k)))
        return sources, read.quote(question, sources, retriever.embedder, retriever.rarity)
    if name == "langgraph":
        from step3_rag.frameworks.langgraph_rag import build

        state = build(retriever, client, model, k).invoke({"query": question})
        return Parts(retriever).sources(state["best"]), state["answer"]
    if name == "langchain":
        from step3_rag.frameworks.langchain_lcel import answer_chain

        found = answer_chain(retriever, client, model, k).invoke(question)
        ids, text = [int(each.id or 0) for each in found["documents"]], found["answer"]
    else:
        from step3_rag.frameworks.llamaindex import query_engine

        # Its nodes are numbered sources without their chunks: these are searched for beside it.
        ids = list(search(retriever, question, k))
        text = str(query_engine(retriever, client, model, k).query(question))
    sources = Parts(retriever).sources(ids)
    return sources, read.Answer(text, read.check(text, sources))


def search_of(name: str) -> Callable[[Retriever, str, int], Sequence[int]]:
    """The framework's search: a retriever, a question and k give numbers of chunks, best first.

    Raises:
        UserError: no such framework, or one that is not installed.
    """
    if name not in FRAMEWORKS:
        raise UserError(f"--framework {name} is not known: use {', '.join(FRAMEWORKS)}")
    try:
        if name == "langchain":
            from step3_rag.frameworks.langchain_lcel import search_chain

            return lambda retriever, question, k: [
                int(each.id or 0) for each in search_chain(retriever, k).invoke(question)
            ]
        if name == "llamaindex":
            from step3_rag.frameworks.llamaindex import search

            return lambda retriever, question, k: [
                int(each.node_id) for each in search(retriever, k)(question)
            ]
        from step3_rag.frameworks.langgraph_rag import build
    except ImportError as error:
        raise UserError(f"{name} is not installed ({error.name}): pip install '.[{name}]'") from None
    return lambda retriever, question, k: build(retriever, k=k).invoke({"query": question})["best"]
