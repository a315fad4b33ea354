"""The pipeline as a LangGraph graph: nodes that read a state and return what they change in it.

    >>> build(retriever).invoke({"query": "When does it renew?"})["best"]
    [1742, 88, 1743, 12, 640]

    START ─┬─ bm25 ──┬─ fuse ─ rerank ─ END
           └─ dense ─┘

From LangGraph come the state, the two parallel branches and the join that waits for both, and with them
checkpoints, streaming of steps and a picture (`build(retriever).get_graph().draw_mermaid()`). LangGraph has
no retrieval, so what happens in the nodes is ours. A pipeline without a loop needs no graph; a loop like that
of reflect.py could be one, with a conditional edge from `judge` to `rewrite`.
"""

from typing import Any, TypedDict, cast

from langgraph.graph import END, START, StateGraph

from step3_rag.frameworks.parts import Parts
from step3_rag.retrieve.fuse import min_max, ranked
from step3_rag.retrieve.search import Retriever, Scores


class State(TypedDict, total=False):
    """What the nodes read and write; each key is written by one node, so the branches don't conflict."""

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
    return build(retriever, k).invoke({"query": question})["best"]
