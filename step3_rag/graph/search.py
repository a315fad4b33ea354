"""Questions of two hops: the names met in the first passages lead on to the next ones.

    >>> retrieve(graph, retriever, "Who is liable for the pump in the Harbour Crane 9?").bridges
    ['Otter 300', 'Brightwell Components']

The passage with the answer, Brightwell's contract, has no word in common with the question; the data sheet of
the crane, which plain search finds, names the pump and its maker. So the question is searched once more with
each name that the first passages mention and the question does not (a bridge), and a passage that mentions
the bridge gets a share of its score there. People make that step too. Interleaved retrieval makes it with a
model (Trivedi et al. 2023, arXiv:2212.10509), HippoRAG with a random walk over such a graph (Gutiérrez et al.
2024, arXiv:2405.14831), which changed next to nothing on the sample's dev questions.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field

from step3_rag.graph.net import Graph
from step3_rag.retrieve.fuse import ranked, scaled
from step3_rag.retrieve.search import Found, Options, Retriever

Scores = dict[int, float]  # of chunks, by their id


@dataclass(frozen=True)
class Hopping:
    """How far it goes; chosen on the sample's dev questions, where more was no better."""

    passages: int = 2  # of plain search whose names lead on
    bridges: int = 6  # names at most: each costs a search
    weight: float = 0.2  # of what the bridges say; the rest is plain search's
    commonest: float = 0.2  # a name in more than this share of all passages leads everywhere
    types: tuple[str, ...] = ("organisation", "person", "product", "document")


@dataclass
class Hopped:
    """The outcome: chunks best first, names in the question, names that led on, and plain search."""

    plain: Found
    linked: list[str]
    bridges: list[str]
    order: list[int]
    scores: Scores = field(default_factory=dict)
    documents: dict[int, str] = field(default_factory=dict)  # of each chunk

    def ranking(self) -> list[str]:
        """Documents, each at the place of its best chunk."""
        return list(dict.fromkeys(self.documents[each] for each in self.order))


def retrieve(
    graph: Graph,
    retriever: Retriever,
    question: str,
    options: Options | None = None,
    hopping: Hopping | None = None,
) -> Hopped:
    """Rank passages by plain search, and by what the names in its first passages lead to."""
    options, hopping = options or Options(), hopping or Hopping()
    found = retriever.search(question, options)
    linked = graph.link(question)
    plain = _last(found)
    led = bridges(graph, found, linked, hopping)
    reached: Scores = {}
    for name in led:
        again = retriever.search(f"{question} {graph.label(name)}", options)
        scores = _last(again)
        found.documents |= again.documents
        for chunk in graph.net.nodes[name]["chunks"]:
            reached[chunk] = max(reached.get(chunk, 0.0), scores.get(chunk, 0.0))
    weight = hopping.weight if led else 0.0
    scores = {
        each: (1 - weight) * plain.get(each, 0.0) + weight * reached.get(each, 0.0)
        for each in [*plain, *(each for each in reached if each in found.documents)]
    }
    order = ranked(scores)
    order += [each for each in found.order if each not in scores]
    return Hopped(found, linked, led, order, scores, found.documents)


def bridges(graph: Graph, found: Found, linked: list[str], hopping: Hopping) -> list[str]:
    """Names in the first passages that the question doesn't have; the rare ones and the high ones first."""
    n = sum(len(facts["chunks"]) for _, facts in graph.net.nodes(data=True) if "title" in facts)
    plain = _last(found)
    weights: dict[str, float] = defaultdict(float)
    for chunk in found.order[: hopping.passages]:
        for name in graph.mentioned.get(chunk, ()):
            count = len(graph.net.nodes[name]["chunks"])
            is_wanted = graph.net.nodes[name]["type"] in hopping.types and name not in linked
            if is_wanted and name != found.documents[chunk] and count <= max(2, hopping.commonest * n):
                weights[name] = max(weights[name], plain.get(chunk, 0.0) * math.log(1 + n / count))
    return ranked(weights)[: hopping.bridges]


def _last(found: Found) -> Scores:
    return scaled(list(found.stages.values())[-1]) if found.stages else {}
