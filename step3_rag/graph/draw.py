"""The graph as a picture: the most central nodes and what is stated of them. A whole graph is a hairball.

$ python -m step3_rag graph build --out graph.png
"""

from __future__ import annotations

import os
import textwrap
from pathlib import Path

import networkx as nx

from step3_rag.graph.extract import TOGETHER, TYPES
from step3_rag.graph.net import MENTIONS, Graph

# Okabe and Ito's colours, one for each of TYPES, which people with any colour vision can tell apart.
COLOURS = ("#D55E00", "#009E73", "#0072B2", "#E69F00", "#7A7A7A", "#CC79A7")
MOST = 60  # nodes


def draw(graph: Graph, file: Path, title: str) -> None:
    """Write the picture as a PNG of 1800 x 1260 pixels."""
    os.environ["MPLBACKEND"] = "agg"  # whatever the user's is: nothing is shown on a screen
    from matplotlib.figure import Figure

    edges = list(graph.net.edges(keys=True))
    stated = [edge[:2] for edge in edges if edge[2] not in (TOGETHER, MENTIONS, "refers to")]
    whole = nx.Graph(stated or [edge[:2] for edge in edges])
    central = whole.subgraph(sorted(whole, key=lambda node: -graph.central[node])[:MOST])
    shown = whole.subgraph(max(nx.connected_components(central), key=len))
    places, highest = nx.kamada_kawai_layout(shown), max(graph.central.values())
    figure = Figure(figsize=(15, 10.5), layout="constrained")
    axis = figure.subplots()
    axis.set_axis_off()
    axis.set_title(title, loc="left", parse_math=False)
    nx.draw_networkx_edges(shown, places, ax=axis, edge_color="#BBBBBB")
    for kind, colour in zip(TYPES, COLOURS, strict=True):
        nodes = [node for node in shown if graph.net.nodes[node]["type"] == kind]
        sizes = [60 + 900 * graph.central[node] / highest for node in nodes]
        nx.draw_networkx_nodes(shown, places, nodes, sizes, colour, ax=axis, label=kind)
    for node, (x, y) in places.items():
        text = textwrap.shorten(graph.label(node).split(":")[0], 28, placeholder="…")
        axis.text(x, y - 0.025, text, fontsize=8, ha="center", va="top", parse_math=False)
    axis.legend(loc="lower right", frameon=False)
    figure.savefig(file, dpi=120, format="png")
