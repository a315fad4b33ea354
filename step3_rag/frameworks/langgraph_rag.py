"""The pipeline with its loop as a LangGraph graph: nodes that read a state and return what they change in it.

    >>> [attempt["query"] for attempt in build(retriever).invoke(start("wen does it renew?"))["attempts"]]
    ['wen does it renew?', 'when does it renew?']

    START ─ retrieve ─ judge ─┬─ confident, or no strategy is left ─ END
               ▲              └─ rewrite ─┬─ nothing new ─ END
               └──────────────────────────┘

From LangGraph come the state, the loop (its *conditional edges* are functions that choose the next node),
checkpoints, a stream of steps and a picture (`build(retriever).get_graph().draw_mermaid()`). It has no
retrieval: search, confidence and rewriting in the nodes are ours.

With a checkpointer, the graph can stop before it rewrites. A person looks at what was found, corrects the
query, and the run goes on, even in another process.
"""

import operator
from typing import Annotated, Any, TypedDict, cast

from langgraph.channels import UntrackedValue
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph

from step3_rag.reflect.confidence import confidence
from step3_rag.reflect.loop import MARGIN, THRESHOLD
from step3_rag.reflect.rewrite import OFFLINE, rewrite
from step3_rag.retrieve.search import Retriever, SearchOptions, SearchResult


class Attempt(TypedDict):
    """A search and how confident we are that it found an answer."""

    query: str
    dense_weight: float
    best: list[int]  # chunk ids
    confidence: float


class State(TypedDict):
    """What the nodes read and write: plain data, which a checkpoint can hold."""

    question: str
    query: str  # to be searched next; "" if there is nothing new to search
    dense_weight: float
    strategies: list[str]  # not yet tried
    attempts: Annotated[list[Attempt], operator.add]  # what a node returns is added
    found: Annotated[SearchResult | None, UntrackedValue]  # from `retrieve` to `judge`, in no checkpoint


def start(question: str) -> State:
    """The state that a graph begins with."""
    return {
        "question": question,
        "query": question,
        "dense_weight": SearchOptions().dense_weight,
        "strategies": list(OFFLINE),
        "attempts": [],
        "found": None,
    }


def build(
    retriever: Retriever,
    k: int = 5,
    checkpointer: BaseCheckpointSaver[Any] | None = None,
    interrupt_before: list[str] | None = None,
) -> Any:
    """The compiled graph: of `start(question)`, it makes a State with all attempts.

    Args:
        checkpointer: keeps the state after every step, for example InMemorySaver().
        interrupt_before: nodes before which it stops; `invoke(None, config)` goes on. Needs a checkpointer.
    """

    def retrieve(state: State) -> dict[str, Any]:
        options = SearchOptions(k=k, dense_weight=state["dense_weight"])
        return {"found": retriever.search(state["query"], options)}

    def judge(state: State) -> dict[str, Any]:
        result = state["found"]
        assert result is not None
        attempt = Attempt(
            query=result.query,
            dense_weight=result.options.dense_weight,
            best=[chunk.id for chunk in result.best],
            confidence=confidence(result, retriever),
        )
        return {"attempts": [attempt]}

    def rewrite_query(state: State) -> dict[str, Any]:
        """The query of the first strategy that has a new one."""
        tried = [(attempt["query"], attempt["dense_weight"]) for attempt in state["attempts"]]
        first = SearchResult(state["question"], SearchOptions(k=k))
        remaining = list(state["strategies"])
        while remaining:
            other = rewrite(remaining.pop(0), state["question"], first, retriever, None)
            if other is None:
                continue
            query, options = other
            if (query, options.dense_weight) not in tried:
                return {"query": query, "dense_weight": options.dense_weight, "strategies": remaining}
        return {"query": "", "strategies": []}

    graph: Any = StateGraph(cast(Any, State))  # its types don't know that a TypedDict is one
    graph.add_node("retrieve", retrieve)
    graph.add_node("judge", judge)
    graph.add_node("rewrite", rewrite_query)
    graph.add_edge(START, "retrieve")
    graph.add_edge("retrieve", "judge")
    graph.add_conditional_edges("judge", after_judge, ["rewrite", END])
    graph.add_conditional_edges("rewrite", after_rewrite, ["retrieve", END])
    return graph.compile(checkpointer=checkpointer, interrupt_before=interrupt_before)


def after_judge(state: State) -> str:
    """Where the graph goes on after `judge`."""
    if choose(state["attempts"])["confidence"] >= THRESHOLD:
        return END
    return "rewrite" if state["strategies"] else END


def after_rewrite(state: State) -> str:
    """Where the graph goes on after `rewrite`."""
    return "retrieve" if state["query"] else END


def choose(attempts: list[Attempt]) -> Attempt:
    """The attempt to answer from, by the rule of reflect/loop.py.

    A later one must be clearly more confident, or the only one that reaches the threshold.
    """
    best = attempts[0]
    for attempt in attempts[1:]:
        if attempt["confidence"] > best["confidence"] + MARGIN:
            best = attempt
    if best["confidence"] >= THRESHOLD:
        return best
    passing = [attempt for attempt in attempts if attempt["confidence"] >= THRESHOLD]
    return passing[0] if passing else best


def search(retriever: Retriever, question: str, k: int) -> list[int]:
    """The numbers of the k best chunks of the best attempt, best first."""
    state = build(retriever, k).invoke(start(question))
    return choose(state["attempts"])["best"]
