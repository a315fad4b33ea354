"""Draw the pictures of this step: pipeline, overlap, fusion, MaxSim, and a path in the graph.

python step3_rag/lessons/draw.py

Each picture is a list of SVG elements on a light card. Docstrings say where its figures come from.
"""

from __future__ import annotations

from pathlib import Path

from shared.report.svg import (
    BLUE,
    BOLD,
    GREY,
    INK,
    ORANGE,
    PALE_BLUE,
    PALE_ORANGE,
    WHITE,
    arrow,
    box,
    label,
    path,
    save,
)

PICTURES = Path(__file__).parent / "pictures"
SMALL = 'font-size="11"'


def draw_pipeline() -> None:
    """Above, what happens once to each document; below, what happens to each question."""
    top, mid, high = 84, 226, 44  # y of the two rows' boxes, height of a box
    stages = [  # x, y, width, text, chapter
        (28, top, 110, "documents", ""),
        (184, top, 110, "chunk", "chapters 3, 4"),
        (340, top, 110, "embed", "chapters 2, 17"),
        (496, top, 200, "index: texts, words, vectors", "chapters 3, 18"),
        (28, mid, 90, "question", ""),
        (322, mid, 70, "fuse", "chapter 6"),
        (420, mid, 80, "rerank", "chapter 7"),
        (528, mid, 110, "confident?", "chapter 9"),
        (708, mid, 164, "answer, check sources", "chapter 8"),
    ]
    parts = [
        label(28, 68, "Once for each document", "start", BLUE, BOLD),
        label(28, 190, "For each question", "start", BLUE, BOLD),
        box(166, mid - 31, 120, 106, fill="none"),
        box(176, mid - 21, 100, 34, "BM25", PALE_BLUE, BLUE),
        box(176, mid + 31, 100, 34, "dense", PALE_BLUE, BLUE),
        label(226, mid + 90, "chapter 6", color=GREY, style=SMALL),
        path((596, top + high + 20), (596, 166), (226, 166), style='stroke-dasharray="3 3"'),
        box(246, 322, 150, 40, "rewrite (chapter 10)", PALE_BLUE, BLUE),
        box(716, 322, 156, 40, "“I don't know”", PALE_ORANGE, ORANGE),
        label(674, mid + 15, "yes", color=GREY),
        label(500, 336, "no: other words", color=GREY),
        label(660, 336, "still no", color=GREY),
    ]
    for x, y, width, text, chapter in stages:
        is_data = text in ("documents", "question") or text.startswith("index")
        parts.append(box(x, y, width, high, text, *((WHITE, GREY) if is_data else (PALE_BLUE, BLUE))))
        parts.append(label(x + width / 2, y + high + 15, chapter, color=GREY, style=SMALL))
    row = [
        (138, 184, top),
        (294, 340, top),
        (450, 496, top),
        (392, 420, mid),
        (500, 528, mid),
        (638, 708, mid),
    ]
    parts += [arrow((start, y + 22), (end, y + 22)) for start, end, y in row]
    parts += [
        arrow((118, mid + 22), (150, mid + 22), (150, mid - 4), (175, mid - 4)),
        arrow((118, mid + 22), (150, mid + 22), (150, mid + 48), (176, mid + 48)),
        arrow((226, 166), (226, mid - 32)),
        arrow((276, mid - 4), (300, mid - 4), (300, mid + 16), (322, mid + 16)),
        arrow((276, mid + 48), (300, mid + 48), (300, mid + 28), (322, mid + 28)),
        arrow((560, mid + high + 22), (560, 342), (396, 342)),
        arrow((246, 342), (73, 342), (73, mid + high + 2)),
        arrow((606, mid + high + 22), (606, 342), (716, 342)),
    ]
    description = (
        "Once for each document: chunk, embed, write to the index. For each question: BM25 and dense search, "
        "fuse, rerank, judge the confidence. If it is high, answer and check the sources. If it is low, "
        "search again in other words; if it stays low, say I don't know."
    )
    save(PICTURES / "pipeline.svg", 384, "From documents to an answer", description, parts)


def draw_overlap() -> None:
    """`chunk(text, word_spans, size=16, overlap=6)` of six sentences."""
    sentences = [
        (7, "Cells are tested\nin the plant."),
        (6, "Each batch has\na number."),
        (6, "The price is\n13 euros."),
        (6, "It holds\nfor a year."),
        (8, "# Renewal The contract\nrenews every year."),
        (5, "Notice is\n60 days."),
    ]
    chunks = [(0, 2, 0), (1, 3, 1), (2, 4, 1), (4, 6, 0)]  # first sentence, end, sentences that are repeated
    scale, left, top = 22.1, 28, 62
    starts = [left + scale * sum(n for n, _ in sentences[:i]) for i in range(len(sentences) + 1)]
    parts = []
    for (n, text), x in zip(sentences, starts, strict=False):
        fill = (PALE_ORANGE, ORANGE) if text.startswith("#") else (WHITE, GREY)
        parts.append(box(x, top, n * scale - 3, 46, text, *fill))
        parts.append(label(x + n * scale / 2, top + 62, f"{n} tokens", color=GREY, style=SMALL))
    for row, (first, end, repeated) in enumerate(chunks):
        y = 142 + 38 * row
        for i in range(first, end):
            text, fill = ("repeated", "#b9d4f0") if i < first + repeated else ("", PALE_BLUE)
            parts.append(box(starts[i], y, sentences[i][0] * scale - 3, 28, text, fill, BLUE))
        text = f"chunk {row + 1}: {sum(n for n, _ in sentences[first:end])} tokens"
        x, anchor = (starts[end] + 8, "start") if row < 3 else (starts[first] - 11, "end")
        parts.append(label(x, y + 18, text, anchor, style=BOLD))
    parts.append(label(28, 312, "A chunk repeats at most 6 tokens, in whole sentences. ", "start"))
    parts.append(label(28, 332, "The heading begins a new chunk, which repeats nothing.", "start"))
    description = (
        "Six sentences of 7, 6, 6, 6, 8 and 5 tokens. Chunk 1 has sentences 1 and 2, chunk 2 has 2 and 3, "
        "chunk 3 has 3 and 4. The fifth begins with a heading: chunk 4 has sentences 5 and 6."
    )
    title = "Chunks of at most 16 tokens, overlapping by at most 6"
    save(PICTURES / "overlap.svg", 352, title, description, parts)


def draw_fusion() -> None:
    """Ranks of `search "What happens to leave that I have not taken by New Year?" --explain --fusion rrf`."""
    passages = [  # name, rank in BM25, rank in dense, rank after RRF
        ("Annual leave (2024)", 1, 2, 1),
        ("Annual leave", 2, 4, 2),
        ("Leave policy, version 3.0", 6, 3, 3),
        ("Carrying over", 10, 1, 4),
    ]
    columns, top, row = (196, 452), 92, 25  # x of the ranks of BM25 and dense; y of rank 1; pixels a rank
    parts = [
        label(columns[0], 66, "BM25 (words)", style=BOLD),
        label(columns[1], 66, "dense (meaning)", style=BOLD),
        label(640, 66, "RRF: 1/(60 + rank), added up", style=BOLD),
    ]
    for rank in range(1, 11):
        for x, place in (columns[0], 1), (columns[1], 2):
            taken = [each for each in passages if each[place] == rank]
            y = top + row * (rank - 1)
            parts.append(label(x, y + 5, str(rank), color=INK if taken else "#b0b7be", style=BOLD))
    for name, words, meaning, fused in passages:
        is_right = name == "Carrying over"
        color, width = (ORANGE, 'stroke-width="3"') if is_right else (BLUE, 'stroke-width="1.5"')
        y1, y2, y3 = (top + row * (rank - 1) for rank in (words, meaning, 2 * fused - 1))
        score = 1 / (60 + words) + 1 / (60 + meaning)
        parts += [
            path((columns[0] + 14, y1), (columns[1] - 14, y2), color=color, style=width),
            path((columns[1] + 14, y2), (518, y3), color=color, style=width),
            label(columns[0] - 16, y1 + 5, name, "end", color, BOLD if is_right else ""),
            label(526, y3 + 1, f"{fused}  {name}", "start", color, BOLD),
            label(540, y3 + 18, f"1/{60 + words} + 1/{60 + meaning} = {score:.4f}", "start", GREY),
        ]
    caption = "The rule in force is in “Carrying over” only: BM25's rank 10 costs it the first place."
    parts.append(label(28, 356, caption, "start"))
    description = "Ranks of four passages in two rankings, and after fusion: " + "; ".join(
        f"{name}: {words} and {meaning}, then {fused}" for name, words, meaning, fused in passages
    )
    title = "“What happens to leave that I have not taken by New Year?”"
    save(PICTURES / "fusion.svg", 376, title, description, parts)


def draw_maxsim() -> None:
    """Cosines of MiniLM's token vectors in float32; idf among the 317 chunks of the sample."""
    query = [("holidays", 5.36), ("carried", 4.26), ("over", 2.69)]
    up_to = [
        [0.06, 0.15, 0.09, 0.40, 0.19, 0.23, 0.13, 0.20],
        [0.24, 0.34, 0.15, 0.18, 0.25, 0.48, 0.86, 0.53],
        [0.31, 0.37, 0.21, 0.31, 0.30, 0.50, 0.42, 0.79],
    ]
    public = [[0.25, 0.92, 0.15, 0.11], [0.15, 0.18, 0.14, 0.05], [0.17, 0.39, 0.23, 0.10]]
    grids = [
        ("up to eight days may be carried over", up_to, ".51"),
        ("public holidays count double", public, ".58"),
    ]
    cell, high, top, left = 54, 34, 96, 152.0
    total = sum(weight for _, weight in query)
    parts = [label(28, 62, "query token, idf", "start", GREY)]
    for i, (token, weight) in enumerate(query):
        y = top + high * i + 22
        parts += [label(28, y, token, "start", style=BOLD), label(134, y, f"{weight:.2f}", "end", GREY)]
    for text, rows, cosine in grids:
        for j, token in enumerate(text.split()):
            x = left + cell * j
            parts.append(label(x + cell / 2, top - 10, token))
            for i, values in enumerate(rows):
                y, value, is_best = top + high * i, values[j], values[j] == max(values)
                parts.append(
                    f'<rect x="{x:g}" y="{y}" width="{cell}" height="{high}" fill="{BLUE}" '
                    f'fill-opacity="{value * 0.55:.2f}" stroke="{WHITE}"/>'
                )
                said = f"{value:.2f}".lstrip("0")
                parts.append(label(x + cell / 2, y + 22, said, style=BOLD if is_best else ""))
                if is_best:
                    parts.append(
                        f'<rect x="{x + 2:g}" y="{y + 2}" width="{cell - 4}" height="{high - 4}" rx="3" '
                        f'fill="none" stroke="{ORANGE}" stroke-width="3"/>'
                    )
        best = [(weight, max(values)) for (_, weight), values in zip(query, rows, strict=True)]
        score = sum(weight * value for weight, value in best) / total
        y = top + high * 3 + 26
        parts.append(label(left, y, f"MaxSim {score:.2f}".replace("0.", "."), "start", ORANGE, BOLD))
        parts.append(label(left, y + 20, f"one vector each: cosine {cosine}", "start"))
        if rows is up_to:
            terms = " + ".join(f"{weight:.2f}·{value:.2f}" for weight, value in best)
            parts.append(label(left + 90, y, f"= ({terms}) / {total:.2f}".replace("0.", "."), "start", GREY))
        left += cell * len(rows[0]) + 50
    description = (
        "Cosines of the query tokens holidays, carried, over with each token of two passages. The best "
        "of each row is framed. MaxSim ranks Up to eight days may be carried over first; single vectors rank "
        "Public holidays count double first."
    )
    title = "Late interaction: each query token takes its best match"
    save(PICTURES / "maxsim.svg", 262, title, description, parts)


def draw_graph() -> None:
    """A path of `graph build` (sample): the edges stand in the two contracts."""
    nodes = {  # x, y, text, on the path
        "customer": (110, 150, "Ferrisgate\nDairies", True),
        "service": (340, 150, "contract\nFD-2025-08", True),
        "lab": (570, 150, "Varrick Calibration\nLaboratories", True),
        "terms": (800, 150, "contract\nVC-2025-06", True),
        "notice": (232, 262, "notice FN-2025-02", False),
        "manager": (400, 262, "Lucinda Farrow", False),
        "quality": (570, 262, "contract TP-2024-05", False),
        "logistics": (800, 262, "Hexbrook Logistics", False),
    }
    edges = [
        ("customer", "service", "customer", True),
        ("service", "lab", "subcontractor", True),
        ("lab", "terms", "supplier", True),
        ("service", "notice", "refers to", False),
        ("service", "manager", "signed by", False),
        ("quality", "lab", "subcontractor", False),
        ("terms", "logistics", "subcontractor", False),
    ]
    question = "What is the liability limit of the laboratory that certifies Ferrisgate's transmitters?"
    parts = []
    for a, b, relation, on_path in edges:
        (x1, y1, *_), (x2, y2, *_) = nodes[a], nodes[b]
        if on_path:
            parts.append(path((x1, y1), (x2, y2), color=ORANGE, style='stroke-width="4"'))
            parts.append(label((x1 + x2) / 2, y1 - 10, relation, color=ORANGE, style=BOLD + " " + SMALL))
        else:
            parts.append(path((x1, y1), (x2, y2), color="#b0b7be"))
            parts.append(label((x1 + x2) / 2 + 8, (y1 + y2) / 2 + 8, relation, "start", GREY, SMALL))
    for x, y, text, on_path in nodes.values():
        w, h = (136, 44) if on_path else (150, 28)
        colors = (PALE_ORANGE, ORANGE) if on_path else (WHITE, GREY)
        parts.append(box(x - w / 2, y - h / 2, w, h, text, *colors))
    parts += [
        label(28, 62, question, "start"),
        label(110, 112, "named in the question", color=GREY, style=SMALL),
        label(800, 104, "“liability is limited to", color=ORANGE, style=BOLD),
        label(800, 120, "EUR 150,000 per year”", color=ORANGE, style=BOLD),
    ]
    description = (
        "A path: Ferrisgate Dairies is the customer of contract FD-2025-08, whose subcontractor is Varrick "
        "Calibration Laboratories, the supplier of contract VC-2025-06, which limits liability."
    )
    save(PICTURES / "graph-path.svg", 294, "A path through the graph", description, parts)


if __name__ == "__main__":
    draw_pipeline()
    draw_overlap()
    draw_fusion()
    draw_maxsim()
    draw_graph()
