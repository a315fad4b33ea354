"""The pipeline as a graph of LangGraph: nodes that read a state and return what they change in it.

    >>> build(retriever).invoke({"query": "When does it renew?"})["best"]
    [1742, 88, 1743, 12, 640]

    START ─┬─ bm25 ──┬─ fuse ─ rerank ─ END
           └─ dense ─┘

LangGraph's own: the state, the two branches that run at once, the join that waits for both; with them come
checkpoints, streaming of steps and a picture (`build(retriever).get_graph().draw_mermaid()`). Ours: all that
happens in a node. LangGraph brings no retrieval, so nothing of it is given up. A straight line like this one
needs no graph; reflect.py has the loop that does.
"""

from __future__ import annotations

from typing import Any, TypedDict, cast

from langgraph.graph import END, START, StateGraph

from step3_rag.frameworks.parts import Parts
from step3_rag.retrieve.fuse import min_max, ranked
from step3_rag.retrieve.search import Retriever, Scores


class State(TypedDict, total=False):
    """What the nodes read and write; each key is written by one node, so the branches can't collide."""

    query: str
    bm25: Scores
    dense: Scores
    fused: Scores
    best: list[int]  # chunk ids


def build(retriever: Retriever, k: int = 5) -> Any:
    """The compiled graph: {"query"} becomes a State with the k best chunks."""
    parts = Parts(retriever)

    def bm25(state: State) -> State:
        return {"bm25": parts.bm25(state["query"])}

    def dense(state: State) -> State:
        return {"dense": parts.dense(state["query"])}

    def fuse(state: State) -> State:
        return {"fused": min_max([state["bm25"], state["dense"]], [0.5, 0.5])}

    def rerank(state: State) -> State:
        return {"best": ranked(parts.reranked(state["query"], state["fused"]))[:k]}

    graph: Any = StateGraph(cast(Any, State))  # its types don't know that a TypedDict is one
    for node in (bm25, dense, fuse, rerank):
        graph.add_node(node.__name__, node)
    graph.add_edge(START, "bm25")
    graph.add_edge(START, "dense")
    graph.add_edge(["bm25", "dense"], "fuse")  # waits for both
    graph.add_edge("fuse", "rerank")
    graph.add_edge("rerank", END)
    return graph.compile()


def search(retriever: Retriever, question: str, k: int) -> list[int]:
    """The numbers of the k best chunks, best first."""
    best: list[int] = build(retriever, k).invoke({"query": question})["best"]
    return best
