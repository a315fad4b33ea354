"""The pipeline in LangChain's expression language: Runnables, joined by `|`.

    >>> search_chain(retriever).invoke("When does it renew?")[0].metadata["source"]
    'contracts/supply-brightwell.md, Renewal'
    >>> answer_chain(retriever, chat_client(), model).invoke("When does it renew?")["answer"]
    'It renews for one year each 1 March. [1]'

    query ─ RunnableParallel ─┬─ bm25 ──┬─ fused ─ reranked ─ prompt | ChatAnthropic | StrOutputParser
                              └─ dense ─┘

From LangChain come the parallel step, prompt, chat model and parser, and with them `batch`, `stream`,
`with_fallbacks` and tracing. The two scorers, fusion and MaxSim are ours, as plain functions, which `|` turns
into Runnables: LangChain's BM25Retriever splits on spaces, its EnsembleRetriever fuses by ranks only (RRF),
and a VectorStoreRetriever drops the scores that min-max fusion needs. Since version 1.0, `langchain.chains`
and `langchain.retrievers` are only in `langchain_classic`; chains are written as here.
"""

from collections.abc import Sequence
from typing import Any

import anthropic
from langchain_anthropic import ChatAnthropic
from langchain_core.documents import Document
from langchain_core.messages import SystemMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable, RunnableParallel, RunnablePassthrough
from pydantic import SecretStr

from shared import prompts
from step3_rag import PROMPTS
from step3_rag.answer.context import as_text
from step3_rag.answer.read import MAX_TOKENS
from step3_rag.frameworks.parts import Parts
from step3_rag.retrieve.fuse import min_max
from step3_rag.retrieve.search import Retriever, Scores


def documents_of(parts: Parts, scores: Scores) -> list[Document]:
    """Chunks as LangChain documents, in the order of the scores' mapping, with the score in the metadata."""
    return [
        Document(chunk.text, id=str(chunk.id), metadata={"source": chunk.source, "score": scores[chunk.id]})
        for chunk in parts.index.chunks(list(scores))
    ]


def ids_of(documents: Sequence[Document]) -> list[int]:
    """The chunks' numbers."""
    return [int(document.id or 0) for document in documents]


def search_chain(retriever: Retriever, k: int = 5) -> Runnable[str, list[Document]]:
    """A chain from a query to the k best documents."""
    parts = Parts(retriever)

    def fused(results: dict[str, Any]) -> Scores:
        return min_max([results["bm25"], results["dense"]], [0.5, 0.5])

    def reranked(results: dict[str, Any]) -> list[Document]:
        return documents_of(parts, parts.reranked(results["query"], results["fused"]))[:k]

    both: Runnable[str, dict[str, Any]] = RunnableParallel(
        query=RunnablePassthrough(), bm25=parts.bm25, dense=parts.dense
    )
    return both | RunnablePassthrough.assign(fused=fused) | reranked


def chat_model(client: anthropic.Anthropic, model: str) -> ChatAnthropic:
    """ChatAnthropic on an existing client: Claude's, a local server's, or the embedded model's.

    ChatAnthropic itself can only build a client from key and address. `ainvoke` and `astream` have no client,
    because LangChain's own would send the question to another server.
    """
    chat = ChatAnthropic(model_name=model, max_tokens_to_sample=MAX_TOKENS, api_key=SecretStr("not-used"))
    vars(chat).update(_client=client, _async_client=None)  # in place of its cached properties
    return chat


def answer_chain(
    retriever: Retriever,
    client: anthropic.Anthropic,
    model: str,
    k: int = 5,
    fallbacks: Sequence[ChatAnthropic] = (),
) -> Runnable[str, dict[str, Any]]:
    """A chain from a question to {"question", "documents", "sources", "answer"}.

    If the chat model fails, the `fallbacks` are asked, one after the other.
    """
    parts = Parts(retriever)
    rendered = prompts.render(prompts.load(PROMPTS, "answer", family=prompts.family_of(model)))
    # The system text is a message, not a template: a brace in it is not a variable.
    prompt = ChatPromptTemplate.from_messages(
        [SystemMessage(rendered["system"]), ("human", "{sources}\n\nQuestion: {question}")]
    )

    def sources(results: dict[str, Any]) -> str:
        return as_text(parts.sources(ids_of(results["documents"])))

    asked: Runnable[str, dict[str, Any]] = RunnableParallel(
        question=RunnablePassthrough(), documents=search_chain(retriever, k)
    )
    chat = chat_model(client, model).with_fallbacks(fallbacks)
    answer = prompt | chat | StrOutputParser()
    return asked | RunnablePassthrough.assign(sources=sources).assign(answer=answer)


def search(retriever: Retriever, question: str, k: int) -> list[int]:
    """The numbers of the k best chunks, best first."""
    return ids_of(search_chain(retriever, k).invoke(question))
