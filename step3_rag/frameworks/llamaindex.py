"""The pipeline in LlamaIndex: two retrievers under a fusion retriever, and a postprocessor.

    $ pip install -c constraints.txt ".[llamaindex]"

    >>> query_engine(retriever).retrieve(QueryBundle("When does it renew?"))[0].node_id
    '1742'

    QueryFusionRetriever ─┬─ bm25 ──┬─ relative_score ─ LateInteraction
                          └─ dense ─┘

From LlamaIndex comes the fusion: its mode `relative_score` is our min-max with weights (`dist_based_score`
scales by mean and deviation instead). It needs an LLM even if it writes no further queries, and the default
is OpenAI's: hence MockLLM. The two scorers, MaxSim as a postprocessor, and the reader are ours
(`llama-index-llms-anthropic` would build its own client).
"""

from collections.abc import Callable
from typing import Any

from llama_index.core.llms import MockLLM
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.retrievers import BaseRetriever, QueryFusionRetriever
from llama_index.core.retrievers.fusion_retriever import FUSION_MODES
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
from pydantic import Field

from step3_rag.frameworks.parts import Parts
from step3_rag.retrieve.search import DEPTH, Retriever, Scores


class ScoredRetriever(BaseRetriever):
    """One of our scorers as a LlamaIndex retriever."""

    def __init__(self, parts: Parts, score: Callable[[str], Scores]) -> None:
        super().__init__()
        self.parts = parts
        self.score = score

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return nodes_of(self.parts, self.score(query_bundle.query_str))


def nodes_of(parts: Parts, scores: Scores) -> list[NodeWithScore]:
    """Chunks as LlamaIndex nodes, in the order of the scores' mapping."""
    return [
        # Nodes with equal text and metadata would be merged: the chunk's id keeps them apart.
        NodeWithScore(
            node=TextNode(
                id_=str(chunk.id), text=chunk.text, metadata={"chunk": chunk.id, "source": chunk.source}
            ),
            score=scores[chunk.id],
        )
        for chunk in parts.index.chunks(list(scores))
    ]


class LateInteraction(BaseNodePostprocessor):
    """MaxSim together with the nodes' first score; keeps the k best."""

    parts: Any = Field(exclude=True)  # Parts, which is not a pydantic model
    k: int = 5

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        assert query_bundle
        first = {int(node.node_id): node.get_score() for node in nodes}
        return nodes_of(self.parts, self.parts.reranked(query_bundle.query_str, first))[: self.k]


def query_engine(
    retriever: Retriever, k: int = 5, mode: FUSION_MODES = FUSION_MODES.RELATIVE_SCORE
) -> RetrieverQueryEngine:
    """An engine whose `retrieve` gives the k best nodes; `mode` names the way to fuse."""
    parts = Parts(retriever)
    fusion = QueryFusionRetriever(
        [ScoredRetriever(parts, parts.bm25), ScoredRetriever(parts, parts.dense)],
        llm=MockLLM(),
        mode=mode,
        retriever_weights=[0.5, 0.5],
        num_queries=1,  # the question alone
        similarity_top_k=2 * DEPTH,  # all of both
        use_async=False,
    )
    return RetrieverQueryEngine.from_args(
        fusion, llm=MockLLM(), node_postprocessors=[LateInteraction(parts=parts, k=k)]
    )


def search(retriever: Retriever, question: str, k: int) -> list[int]:
    """The numbers of the k best chunks, best first."""
    nodes = query_engine(retriever, k).retrieve(QueryBundle(question))
    return [int(node.node_id) for node in nodes]
