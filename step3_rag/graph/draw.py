"""The graph as a picture: colours for types, size for importance, communities as pale islands.

    $ python -m step3_rag graph build --out graph.png

Drawn are the nodes that matter (by PageRank) with the edges that say something. One layout of all nodes makes
a hairball. So the communities are laid out first, each as one disc that pushes the others away (Fruchterman
and Reingold 1991), and then the nodes inside each disc (Kamada and Kawai 1989).
"""

from __future__ import annotations

import math
import os
import textwrap
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np

from step3_rag.graph.net import MENTIONS, TOGETHER, Graph

Places = dict[str, np.ndarray]  # (2,) each

COLOURS = {  # Okabe and Ito's, which people with any colour vision can tell apart
    "organisation": "#D55E00",
    "product": "#0072B2",
    "document": "#7A7A7A",
    "person": "#009E73",
    "place": "#E69F00",
    "other": "#CC79A7",
}
ISLANDS = ("#8DA0CB", "#FC8D62", "#66C2A5", "#E78AC3", "#A6D854", "#E5C494", "#B3B3B3", "#FFD92F")
MOST, LARGE = 110, 40  # nodes that are drawn, and of those, with a large label
SIZE = (15.0, 10.5)  # inches
FONT, SMALL = 8.5, 6.8  # points


def draw(graph: Graph, path: Path, title: str, seed: int = 0) -> None:
    """Write the picture as a PNG of about 1800 x 1260 pixels."""
    os.environ["MPLBACKEND"] = "agg"  # whatever the user's is: nothing is shown on a screen
    from matplotlib.figure import Figure

    nodes = chosen(graph)
    flat = drawn_edges(graph, nodes)
    groups = [[node for node in group if node in flat] for group in graph.communities]
    groups = [group for group in groups if group]
    places = layout(flat, groups, seed)
    figure = Figure(figsize=SIZE, layout="constrained", facecolor="white")
    axis = figure.subplots()
    axis.set_axis_off()
    for number, group in enumerate(groups):
        if len(group) > 2:
            _island(axis, np.stack([places[node] for node in group]), ISLANDS[number % len(ISLANDS)])
    _edges(axis, flat, places, {node: number for number, group in enumerate(groups) for node in group})
    largest = max(graph.central[node] for node in flat)
    sizes = {node: 30 + 520 * graph.central[node] / largest for node in flat}
    kinds = {node: graph.net.nodes[node]["type"] for node in flat}
    for kind, colour in COLOURS.items():
        those = [node for node in flat if kinds[node] == kind]
        if those:
            spots = np.stack([places[node] for node in those])
            axis.scatter(
                *spots.T,
                s=[sizes[node] for node in those],
                c=colour,
                edgecolors="white",
                linewidths=1.0,
                marker="s" if kind == "document" else "o",
                zorder=3,
            )
    axis.margins(0.03)
    _legend(figure, [kind for kind in COLOURS if kind in kinds.values()])
    axis.set_title(title, fontsize=12, parse_math=False, loc="left")
    figure.canvas.draw()  # the labels' sizes are known only now
    _labels(axis, graph, places, sizes)
    figure.savefig(path, dpi=120, format="png")


def _legend(figure: Any, kinds: list[str]) -> None:
    from matplotlib.lines import Line2D

    marks = [
        Line2D([], [], ls="", marker="s" if kind == "document" else "o", c=COLOURS[kind], ms=8, label=kind)
        for kind in kinds
    ]
    figure.legend(handles=marks, loc="outside lower center", ncols=len(marks), fontsize=9, frameon=False)


def chosen(graph: Graph) -> list[str]:
    """The nodes to draw: the most central ones of each community, in proportion to its size."""
    share = min(1.0, MOST / max(1, len(graph.net)))
    best = [node for group in graph.communities for node in group[: max(3, round(share * len(group)))]]
    return sorted(best, key=lambda node: -graph.central[node])[: MOST + 20]


def drawn_edges(graph: Graph, nodes: list[str]) -> nx.Graph:
    """Those nodes with the edges that were stated, and the strongest other one where there is none."""
    flat = nx.Graph()
    wanted = set(nodes)
    for source, target, relation in graph.net.edges(keys=True):
        if {source, target} <= wanted and relation not in (TOGETHER, MENTIONS):
            flat.add_edge(source, target, stated=True)
    for node in nodes:
        beside = graph.plain.adj[node]
        others = sorted((other for other in beside if other in wanted), key=lambda o: -beside[o]["weight"])
        if others and (node not in flat or flat.degree(node) < 2):
            for other in others[:2]:
                if not flat.has_edge(node, other):
                    flat.add_edge(node, other, stated=False)
    return flat


def layout(flat: nx.Graph, groups: list[list[str]], seed: int) -> Places:
    """Places of the communities, then of their nodes around them."""
    home = {node: number for number, group in enumerate(groups) for node in group}
    between = nx.Graph()
    between.add_nodes_from(range(len(groups)))
    for source, target in flat.edges:
        a, b = home[source], home[target]
        if a != b:
            weight = between.get_edge_data(a, b, {"weight": 0.0})["weight"]
            between.add_edge(a, b, weight=weight + 1 / math.sqrt(len(groups[a]) * len(groups[b])))
    radius = [0.75 + math.sqrt(len(group)) for group in groups]
    start = nx.spring_layout(between, weight="weight", k=1.5, seed=seed, iterations=300)
    centres = _apart(np.stack([start[each] for each in range(len(groups))]), np.array(radius), sum(radius))
    places: Places = {}
    for number, group in enumerate(groups):
        spots = _inside(flat.subgraph(group), group)
        places |= dict(zip(group, centres[number] + radius[number] * 0.85 * spots, strict=True))
    spread = np.ptp(np.stack([*places.values()]), axis=0) + 1e-9
    stretch = min(1.7, max(1.0, SIZE[0] / SIZE[1] * spread[1] / spread[0]))  # to fill the page
    return {node: spot * np.array([stretch, 1.0]) for node, spot in places.items()}


def _inside(part: nx.Graph, group: list[str]) -> np.ndarray:
    """Places of one community's nodes in the unit disc, evenly apart, shape (n, 2)."""
    if len(group) < 3:
        return np.array([[-0.4, 0.1], [0.4, -0.1]])[: len(group)] if len(group) > 1 else np.zeros((1, 2))
    tied = nx.Graph()
    tied.add_nodes_from(group)  # in this order, or the picture would be another one each time
    tied.add_edges_from(part.edges)
    tied.add_edges_from((group[0], node) for node in group[1:])  # in one piece, round the most central one
    found = nx.kamada_kawai_layout(tied)
    spots = np.stack([found[node] for node in group])
    spots = _apart(spots - spots.mean(axis=0), np.full(len(group), 0.85 / math.sqrt(len(group))), 1.0)
    return spots / np.linalg.norm(spots, axis=1).max()


def _apart(spots: np.ndarray, radius: np.ndarray, scale: float) -> np.ndarray:
    """Push discs apart until none overlap, and draw all together as close as they may be; shape (n, 2)."""
    spots = (spots - spots.mean(axis=0)) * scale
    wanted = np.add.outer(radius, radius)
    np.fill_diagonal(wanted, 0.0)
    for _ in range(300):
        spots = spots * 0.985  # towards the middle
        for _ in range(8):
            away = spots[:, None] - spots[None]
            distance = np.linalg.norm(away, axis=2) + 1e-9
            push = np.maximum(0.0, wanted - distance) / distance / 2
            spots = spots + 0.9 * (away * push[..., None]).sum(axis=1)
    return spots


def _island(axis: Any, spots: np.ndarray, colour: str) -> None:
    """A pale shape around a community: its hull, with a rounded margin."""
    from matplotlib.patches import Polygon
    from scipy.spatial import ConvexHull

    turns = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    rim = np.concatenate([spots + 0.5 * np.array([np.cos(t), np.sin(t)]) for t in turns])
    shape = rim[ConvexHull(rim).vertices]
    axis.add_patch(Polygon(shape, closed=True, facecolor=colour, alpha=0.16, edgecolor="none", zorder=0))


def _edges(axis: Any, flat: nx.Graph, places: Places, home: dict[str, int]) -> None:
    from matplotlib.collections import LineCollection

    for stated, inside, colour, width in (
        (False, False, "#D5D5D5", 0.4),
        (True, False, "#BBBBBB", 0.6),  # between communities: there, but in the background
        (False, True, "#ABABAB", 0.6),
        (True, True, "#5A5A5A", 1.0),
    ):
        lines = [
            (places[a], places[b])
            for a, b, said in flat.edges(data="stated")
            if said == stated and (home[a] == home[b]) == inside
        ]
        axis.add_collection(LineCollection(lines, colors=colour, linewidths=width, alpha=0.7, zorder=1))


def _labels(axis: Any, graph: Graph, places: Places, sizes: dict[str, float]) -> None:
    """Names, each on the side where it covers least; those of small nodes only where nothing else is."""
    from matplotlib.patheffects import withStroke

    to_pixels = axis.transData.transform
    dpi = axis.figure.dpi
    taken: list[tuple[float, float, float, float]] = []
    for node in places:
        x, y = to_pixels(places[node])
        r = math.sqrt(sizes[node]) / 2 * dpi / 72
        taken.append((x - r, y - r, x + r, y + r))
    frame = axis.get_window_extent()
    for rank, node in enumerate(sorted(places, key=lambda each: -graph.central[each])):
        text = short(graph, node)
        font, colour = (FONT, "black") if rank < LARGE else (SMALL, "#555555")
        x, y = to_pixels(places[node])
        r = math.sqrt(sizes[node]) / 2 * dpi / 72 + 3
        lines = text.split("\n")
        width = 0.56 * font * dpi / 72 * max(map(len, lines))
        height = 1.25 * font * dpi / 72 * len(lines)
        d = 0.7 * r
        sides = {  # horizontal and vertical alignment, and the point of the text that they name
            ("left", "center"): (x + r, y),
            ("right", "center"): (x - r, y),
            ("center", "bottom"): (x, y + r),
            ("center", "top"): (x, y - r),
            ("left", "bottom"): (x + d, y + d),
            ("right", "bottom"): (x - d, y + d),
            ("left", "top"): (x + d, y - d),
            ("right", "top"): (x - d, y - d),
        }
        choices = []
        for (across, along), (at, up) in sides.items():
            left = at - {"left": 0.0, "center": width / 2, "right": width}[across]
            low = up - {"bottom": 0.0, "center": height / 2, "top": height}[along]
            box = (left, low, left + width, low + height)
            outside = box[0] < frame.x0 or box[2] > frame.x1
            covered = 1e9 if outside else sum(_overlap(box, other) for other in taken)
            choices.append((covered, across, along, at, up, box))
        covered, across, along, at, up, box = min(choices, key=lambda each: each[0])
        if covered > 0 and rank >= LARGE:
            continue
        axis.text(
            *axis.transData.inverted().transform((at, up)),
            text,
            fontsize=font,
            color=colour,
            ha=across,
            va=along,
            zorder=4,
            parse_math=False,
            linespacing=1.0,
            path_effects=[withStroke(linewidth=2.2, foreground="white", alpha=0.85)],
        )
        taken.append(box)


def _overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> float:
    """The area that two boxes have in common."""
    wide, high = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    return wide * high if wide > 0 and high > 0 else 0.0


def short(graph: Graph, node: str) -> str:
    """A label of two short lines at most; of a document its number, where it has one."""
    facts = graph.net.nodes[node]
    text = node
    if "title" in facts:
        numbers = [name for name in facts["names"] if any(map(str.isdigit, name)) and " " not in name]
        text = numbers[0] if numbers else facts["title"].split("|")[0].strip()
    text = "".join(letter if ord(letter) < 0x500 else "□" for letter in text)
    lines = textwrap.wrap(text, 22) or [text]
    return "\n".join(lines[:2]) + ("…" if len(lines) > 2 else "")
