"""Draw one transformer block, for chapter 5 of step 1.

python -m docs.drawings.transformer_block
"""

from pathlib import Path

from docs.drawings.svg import (
    BLUE,
    BOLD,
    EDGE,
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

FILE = Path(__file__).parents[2] / "step1_foundations" / "lessons" / "pictures" / "block.svg"
BIG = 'font-weight="600" font-size="15"'
# Fill and border of what belongs to each half.
ATTENTION = (PALE_BLUE, BLUE)
FEED_FORWARD = (PALE_ORANGE, ORANGE)
# x of the columns, left to right, in pixels.
STREAM = 70
SHAPE = 118  # the shapes of what is read from the stream and added to it
PANEL = 160
NORM = 178
FORK = 284
FIRST = 316  # the projections, 180 wide
ROPE = 594
LAST = 690  # what is computed from the projections, 170 wide
# y of the rows: the projections of attention, then those of the feed-forward part.
Q = 152
K = 212
V = 272
GATE = 460
UP = 520
DESCRIPTION = (
    "The residual stream x (T × 576) is a straight line. Attention reads it through RMSNorm, mixes the "
    "tokens with 9 query heads and 3 key and value heads, and adds its result to the stream. Then the "
    "SwiGLU feed-forward part reads it through RMSNorm, widens each token to 1536 numbers, and adds."
)


def main() -> None:
    """Draw the stream down the left side, and both halves of the block, which read from it and add to it."""
    parts = [
        *residual_stream(),
        *half(
            80, [Q, K, V], 342, "Attention moves information between tokens", "output projection", ATTENTION
        ),
        *half(
            390,
            [GATE, UP],
            584,
            "Feed-forward (SwiGLU) works on each token alone",
            "down projection",
            FEED_FORWARD,
        ),
        *heads(Q, "q", 9),
        *heads(K, "k", 3),
        *heads(V, "v", 3),
        *wide_projection(GATE, "gate projection, SiLU"),
        *wide_projection(UP, "up projection"),
        *scores_and_weights(),
        box(LAST, GATE - 17, 170, UP - GATE + 34, "gate × up\n(number by number)", *FEED_FORWARD),
        label(636, 576, "T × 1536"),
    ]
    save(FILE, 686, "One transformer block of SmolLM2-135M", DESCRIPTION, parts)


def residual_stream() -> list[str]:
    """A thick arrow from the block's input to its output."""
    return [
        label(28, 60, "The thick line is the residual stream. A block only adds to it.", "start"),
        label(STREAM, 94, "x: T × 576", style=BOLD),
        f'<path d="M{STREAM},104V632" stroke="{INK}" stroke-width="8"/>',
        f'<path d="M{STREAM - 13},630h26l-13,18z" fill="{INK}"/>',
        label(STREAM, 668, "x: T × 576", style=BOLD),
        label(PANEL, 646, "30 of these, one after the other", "start", style=BIG),
    ]


def half(top: int, rows: list[int], add: int, title: str, result: str, colors: tuple[str, str]) -> list[str]:
    """A panel with what both halves do: read, normalize, project to each row, project back, add.

    top: y of the panel; rows: y of each projection; add: y of the projection back, named `result`.
    """
    read = sum(rows) / len(rows)
    right = LAST + 85
    return [
        box(PANEL, top, 716, add + 32 - top, line=EDGE),
        label(NORM, top + 26, title, "start", colors[1], BIG),
        label(SHAPE, read - 8, "T × 576"),
        label(SHAPE, add - 8, "T × 576"),
        label(SHAPE, read + 18, "read", color=GREY),
        label(SHAPE, add + 18, "add", color=GREY),
        arrow((STREAM + 4, read), (NORM, read)),
        box(NORM, read - 17, 84, 34, "RMSNorm"),
        path((NORM + 84, read), (FORK, read)),
        *[arrow((FORK, read), (FORK, y), (FIRST, y)) for y in rows],
        *[arrow((FIRST + 180, y), (LAST, y)) for y in rows],
        arrow((right, rows[-1]), (right, add), (FIRST + 180, add)),
        box(FIRST, add - 17, 180, 34, result, *colors),
        arrow((FIRST, add), (STREAM + 13, add)),
        plus(STREAM, add),
    ]


def plus(x: float, y: float) -> str:
    """An addition: a plus in a circle."""
    circle = f'<circle cx="{x}" cy="{y}" r="13" fill="{WHITE}" stroke="{INK}" stroke-width="2"/>'
    return circle + f'<path d="M{x - 7},{y}h14M{x},{y - 7}v14" stroke="{INK}" stroke-width="2"/>'


def heads(y: int, name: str, n: int) -> list[str]:
    """A projection of attention, cut into `n` heads of 64 numbers."""
    parts = [label(FORK + 13, y - 7, name, style=BOLD), label(546, y - 8, f"{n} × T × 64")]
    width = 180 / n  # a head of k and v is as wide as the three query heads that use it
    for i in range(n):
        text = str(i) if n == 9 else f"for {3 * i}–{3 * i + 2}"
        parts.append(box(FIRST + i * width, y - 14, width, 28, text, *ATTENTION))
    return parts


def wide_projection(y: int, text: str) -> list[str]:
    """A projection of the feed-forward part, from 576 numbers to 1536."""
    return [box(FIRST, y - 17, 180, 34, text, *FEED_FORWARD), label(ROPE, y - 8, "T × 1536")]


def scores_and_weights() -> list[str]:
    """What attention does with q, k and v."""
    return [
        box(ROPE, Q - 15, 60, 30, "RoPE", *ATTENTION),
        box(ROPE, K - 15, 60, 30, "RoPE", *ATTENTION),
        label(FIRST + 90, V + 34, "one k and v head per 3 q heads", color=GREY),
        box(LAST, Q - 18, 170, K - Q + 36, "scores = q kᵀ / √64\ncausal mask\nsoftmax", *ATTENTION),
        arrow((LAST + 85, K + 18), (LAST + 85, V - 17)),
        label(LAST + 95, (K + V) / 2 + 5, "9 × T × T", "start"),
        box(LAST, V - 17, 170, 34, "weights × v", *ATTENTION),
        label(636, 334, "heads side by side: T × 576"),
    ]


if __name__ == "__main__":
    main()
