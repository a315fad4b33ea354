"""The graph as a picture: the most central nodes, the edges that state something, and one path through them.

    $ python -m step3_rag graph build --out graph.png

A whole graph is a hairball, so only the most central nodes are drawn. The path shows how the two firms that
are farthest apart in it are connected, relation by relation.
"""

from __future__ import annotations

import os
import textwrap
from itertools import combinations, pairwise
from pathlib import Path

import networkx as nx

from step3_rag.graph.extract import TOGETHER
from step3_rag.graph.net import MENTIONS, Graph

COLOURS = {  # Okabe and Ito's, which people with any colour vision can tell apart
    "organisation": "#D55E00",
    "product": "#0072B2",
    "document": "#7A7A7A",
    "person": "#009E73",
    "place": "#E69F00",
    "other": "#CC79A7",
}
PATH = "#CC0000"
MOST = 60  # nodes


def draw(graph: Graph, file: Path, title: str) -> None:
    """Write the picture as a PNG of 1800 x 1260 pixels."""
    os.environ["MPLBACKEND"] = "agg"  # whatever the user's is: nothing is shown on a screen
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    edges = [(a, b, {"relation": relation}) for a, b, relation in graph.net.edges(keys=True)]
    stated = [edge for edge in edges if edge[2]["relation"] not in (TOGETHER, MENTIONS, "refers to")]
    whole = nx.Graph(stated or edges)
    central = whole.subgraph(sorted(whole, key=lambda node: -graph.central[node])[:MOST])
    shown = whole.subgraph(max(nx.connected_components(central), key=len))
    path = longest_path(graph, shown)
    places = nx.kamada_kawai_layout(shown)
    figure = Figure(figsize=(15, 10.5), layout="constrained")
    axis = figure.subplots()
    axis.set_axis_off()
    axis.set_title(title, loc="left", parse_math=False)
    nx.draw_networkx_edges(shown, places, ax=axis, edge_color="#BBBBBB")
    nx.draw_networkx_edges(shown, places, list(pairwise(path)), ax=axis, edge_color=PATH, width=4, alpha=0.5)
    for kind, colour in COLOURS.items():
        nodes = [node for node in shown if graph.net.nodes[node]["type"] == kind]
        sizes = [60 + 900 * graph.central[node] / max(graph.central.values()) for node in nodes]
        nx.draw_networkx_nodes(shown, places, nodes, sizes, colour, ax=axis)
    for node, (x, y) in places.items():
        text = textwrap.shorten(graph.label(node).split(":")[0], 28, placeholder="…")
        weight = "bold" if node in path else "normal"
        axis.text(x, y - 0.025, text, fontsize=8, weight=weight, ha="center", va="top", parse_math=False)
    said = {(a, b): shown.edges[a, b]["relation"] for a, b in pairwise(path)}
    nx.draw_networkx_edge_labels(shown, places, said, font_size=8, font_color=PATH, ax=axis)
    marks = [Line2D([], [], ls="", marker="o", c=colour, label=kind) for kind, colour in COLOURS.items()]
    figure.legend(handles=marks, loc="outside lower center", ncols=len(marks), frameon=False)
    figure.savefig(file, dpi=120, format="png")


def longest_path(graph: Graph, shown: nx.Graph) -> list[str]:
    """Of the shortest paths between firms (if there are none, between any nodes), the longest.

    A step to a central node costs more: through the firm that signed every contract all things are connected.
    """
    firms = [node for node in shown if graph.net.nodes[node]["type"] == "organisation"]
    paths = [
        nx.shortest_path(shown, a, b, weight=lambda _from, to, _edge: graph.central[to])
        for a, b in combinations(firms if len(firms) > 1 else shown, 2)
    ]
    return max(paths, key=len)
