"""The pipeline in LlamaIndex: retrievers under a fusion retriever, a postprocessor, a response synthesizer.

    $ pip install -c constraints.txt ".[llamaindex]"

    >>> query_engine(retriever, client, model).query("When does it renew?").response
    'It renews for one year each 1 March. [1]'

    QueryFusionRetriever ─┬─ bm25 ──┬─ relative_score ─ LateInteraction ─ Numbered ─ response synthesizer
                          └─ dense ─┘

LlamaIndex's own: the fusion. Its mode `relative_score` is our min-max, weights and all (`dist_based_score`
scales by mean and deviation: something else). It wants an LLM even where it is to write no other queries, and
takes OpenAI's unless told otherwise: MockLLM. Ours: the two scorers, MaxSim and numbering as postprocessors,
and twenty lines that make an LLM of our client (`llama-index-llms-anthropic` would build one of its own).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from llama_index.core import PromptTemplate, get_response_synthesizer
from llama_index.core.llms import CompletionResponse, CompletionResponseGen, CustomLLM, LLMMetadata, MockLLM
from llama_index.core.llms.callbacks import llm_completion_callback
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.retrievers import BaseRetriever, QueryFusionRetriever
from llama_index.core.retrievers.fusion_retriever import FUSION_MODES
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
from pydantic import Field

from shared import prompts
from step3_rag import PROMPTS
from step3_rag.answer.context import as_text
from step3_rag.answer.read import MAX_TOKENS
from step3_rag.frameworks.parts import Parts
from step3_rag.retrieve.fuse import ranked
from step3_rag.retrieve.search import Retriever, Scores

if TYPE_CHECKING:
    import anthropic

CONTEXT = 8192  # tokens; what the smallest of our chat models reads, and the sources take an eighth of it


class ScoredRetriever(BaseRetriever):
    """A scorer of ours as a retriever of LlamaIndex."""

    def __init__(self, parts: Parts, score: Callable[[str], Scores]) -> None:
        super().__init__()
        self.parts, self.score = parts, score

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return nodes_of(self.parts, self.score(query_bundle.query_str))


def nodes_of(parts: Parts, scores: Scores) -> list[NodeWithScore]:
    """Chunks as LlamaIndex's nodes, best first."""
    return [
        # Nodes of the same text and metadata are taken for one: the id keeps them apart.
        NodeWithScore(
            node=TextNode(
                id_=str(chunk.id), text=chunk.text, metadata={"chunk": chunk.id, "source": chunk.source}
            ),
            score=scores[chunk.id],
        )
        for chunk in parts.retriever.index.chunks(ranked(scores))
    ]


class LateInteraction(BaseNodePostprocessor):
    """MaxSim, mixed with the score that the nodes came with; keeps the k best."""

    parts: Any = Field(exclude=True)  # Parts, which is no pydantic model
    k: int = 5

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        if query_bundle is None:
            return nodes[: self.k]
        first = {int(each.node_id): each.get_score() for each in nodes}
        return nodes_of(self.parts, self.parts.reranked(query_bundle.query_str, first))[: self.k]


class Numbered(BaseNodePostprocessor):
    """Chunks as numbered sources between tags: neighbours joined, and marked as data."""

    parts: Any = Field(exclude=True)

    def _postprocess_nodes(
        self,
        nodes: list[NodeWithScore],
        query_bundle: QueryBundle | None = None,  # noqa: ARG002 (the interface)
    ) -> list[NodeWithScore]:
        sources = self.parts.sources([int(each.node_id) for each in nodes])
        return [NodeWithScore(node=TextNode(text=as_text([each]))) for each in sources]


class ClientLLM(CustomLLM):
    """An LLM of LlamaIndex on an anthropic client that is there already."""

    client: Any = Field(exclude=True)  # anthropic.Anthropic
    model: str
    system: str

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(context_window=CONTEXT, num_output=MAX_TOKENS, model_name=self.model)

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:  # noqa: ARG002
        reply = self.client.messages.create(
            model=self.model,
            max_tokens=MAX_TOKENS,
            system=self.system,
            messages=[{"role": "user", "content": prompt}],
        )
        return CompletionResponse(text="".join(each.text for each in reply.content if each.type == "text"))

    @llm_completion_callback()
    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponseGen:
        whole = self.complete(prompt, formatted, **kwargs)
        yield CompletionResponse(text=whole.text, delta=whole.text)


def fusion_retriever(parts: Parts) -> QueryFusionRetriever:
    """BM25 and dense search, fused by LlamaIndex."""
    both: list[BaseRetriever] = [
        ScoredRetriever(parts, parts.bm25),
        ScoredRetriever(parts, parts.dense),
    ]
    return QueryFusionRetriever(
        both,
        llm=MockLLM(),
        mode=FUSION_MODES.RELATIVE_SCORE,
        retriever_weights=[0.5, 0.5],
        num_queries=1,  # the question alone
        similarity_top_k=2 * parts.options.depth,  # all of both
        use_async=False,
    )


def search(retriever: Retriever, k: int = 5) -> Callable[[str], list[NodeWithScore]]:
    """A function from a query to the k best nodes."""
    parts = Parts(retriever)
    first, second = fusion_retriever(parts), LateInteraction(parts=parts, k=k)
    return lambda query: second.postprocess_nodes(first.retrieve(query), query_str=query)


def query_engine(
    retriever: Retriever, client: anthropic.Anthropic, model: str, k: int = 5
) -> RetrieverQueryEngine:
    """The whole: `query(question)` gives the answer with its sources."""
    parts = Parts(retriever)
    system = prompts.render(prompts.load(PROMPTS, "answer", family=prompts.family_of(model)))["system"]
    synthesizer = get_response_synthesizer(
        llm=ClientLLM(client=client, model=model, system=system),
        text_qa_template=PromptTemplate("{context_str}\n\nQuestion: {query_str}"),
    )
    return RetrieverQueryEngine(
        fusion_retriever(parts),
        synthesizer,
        node_postprocessors=[LateInteraction(parts=parts, k=k), Numbered(parts=parts)],
    )
