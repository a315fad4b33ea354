"""The same question by a framework: its search, then the same readers as the pipeline's.

    >>> sources, answer = ask("langgraph", retriever, "When does it renew?")

A framework's pipeline searches once, with the default options; it has no confidence, so it never abstains.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from shared.errors import UserError
from step3_rag.answer import read
from step3_rag.answer.context import Source
from step3_rag.frameworks.parts import Parts
from step3_rag.retrieve.search import Retriever

if TYPE_CHECKING:
    import anthropic

FRAMEWORKS = {"langchain": "langchain_lcel", "llamaindex": "llamaindex", "langgraph": "langgraph_rag"}


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
    if name not in FRAMEWORKS:
        raise UserError(f"--framework {name} is not known: use {', '.join(FRAMEWORKS)}")
    try:
        framework = import_module(f"step3_rag.frameworks.{FRAMEWORKS[name]}")
    except ImportError as error:
        extra = "llamaindex" if name == "llamaindex" else "step3"
        raise UserError(f"{name} is not installed ({error.name}): pip install '.[{extra}]'") from None
    if name == "langchain" and client:
        found = framework.answer_chain(retriever, client, model, k).invoke(question)
        sources = Parts(retriever).sources([int(each.id) for each in found["documents"]])
        return sources, read.Answer(found["answer"], read.check(found["answer"], sources))
    sources = Parts(retriever).sources(framework.search(retriever, question, k))
    if client:
        return sources, read.chat(client, model, question, sources)
    return sources, read.quote(question, sources, retriever.embedder, retriever.rarity)
