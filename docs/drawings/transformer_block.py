"""Draw the two pictures of this step: one transformer block, and the loop that generates text.

python -m docs.drawings.transformer_block
"""

from pathlib import Path

from docs.drawings.svg import (
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

PICTURES = Path(__file__).parents[2] / "step1_foundations" / "lessons" / "pictures"
BIG = 'font-weight="600" font-size="15"'


def plus(x: float, y: float) -> str:
    circle = f'<circle cx="{x}" cy="{y}" r="13" fill="{WHITE}" stroke="{INK}" stroke-width="2"/>'
    return circle + f'<path d="M{x - 7},{y}h14M{x},{y - 7}v14" stroke="{INK}" stroke-width="2"/>'


def draw_block() -> None:
    """The residual stream runs down the left side; both halves of the block read from it and add to it."""
    stream, norm, fork, first, shape, last = 70, 178, 284, 316, 594, 690  # x of the columns, left to right
    q, k, v, gate, up = 152, 212, 272, 460, 520  # y of the rows

    def half(top: int, rows: list[int], add: int, title: str, result: str, colors: tuple[str, str]) -> str:
        """A panel with what both halves do: read, normalize, project to each row, project back, add."""
        read, right = sum(rows) / len(rows), last + 85
        parts = [
            box(160, top, 716, add + 32 - top, line="#d1d9e0"),
            label(norm, top + 26, title, "start", colors[1], BIG),
            *[label(118, y - 8, "T × 576") for y in (read, add)],
            *[label(118, y + 18, text, color=GREY) for y, text in ((read, "read"), (add, "add"))],
            arrow((stream + 4, read), (norm, read)),
            box(norm, read - 17, 84, 34, "RMSNorm"),
            path((norm + 84, read), (fork, read)),
            *[arrow((fork, read), (fork, y), (first, y)) for y in rows],
            *[arrow((first + 180, y), (last, y)) for y in rows],
            arrow((right, rows[-1]), (right, add), (first + 180, add)),
            box(first, add - 17, 180, 34, result, *colors),
            arrow((first, add), (stream + 13, add)),
            plus(stream, add),
        ]
        return "\n".join(parts)

    blue, orange = (PALE_BLUE, BLUE), (PALE_ORANGE, ORANGE)
    parts = [
        label(28, 60, "The thick line is the residual stream. A block only adds to it.", "start"),
        label(stream, 94, "x: T × 576", style=BOLD),
        f'<path d="M{stream},104V632" stroke="{INK}" stroke-width="8"/>',
        f'<path d="M{stream - 13},630h26l-13,18z" fill="{INK}"/>',
        label(stream, 668, "x: T × 576", style=BOLD),
        label(160, 646, "30 of these, one after the other", "start", style=BIG),
        half(80, [q, k, v], 342, "Attention moves information between tokens", "output projection", blue),
        half(
            390, [gate, up], 584, "Feed-forward (SwiGLU) works on each token alone", "down projection", orange
        ),
    ]
    for y, name, heads in (q, "q", 9), (k, "k", 3), (v, "v", 3):
        parts += [label(fork + 13, y - 7, name, style=BOLD), label(546, y - 8, f"{heads} × T × 64")]
        for i in range(heads):  # a head of k and v is as wide as the three query heads that use it
            text = str(i + 1) if heads == 9 else f"for {3 * i + 1}–{3 * i + 3}"
            parts.append(box(first + i * 180 / heads, y - 14, 180 / heads, 28, text, *blue))
    for y, text in (gate, "gate projection, SiLU"), (up, "up projection"):
        parts += [box(first, y - 17, 180, 34, text, *orange), label(shape, y - 8, "T × 1536")]
    parts += [
        *[box(shape, y - 15, 60, 30, "RoPE", *blue) for y in (q, k)],
        label(first + 90, v + 34, "one k and v head per 3 q heads", color=GREY),
        box(last, q - 18, 170, k - q + 36, "scores = q kᵀ / √64\ncausal mask\nsoftmax", *blue),
        arrow((last + 85, k + 18), (last + 85, v - 17)),
        label(last + 95, (k + v) / 2 + 5, "9 × T × T", "start"),
        box(last, v - 17, 170, 34, "weights × v", *blue),
        label(636, 334, "heads side by side: T × 576"),
        box(last, gate - 17, 170, up - gate + 34, "gate × up\n(number by number)", *orange),
        label(636, 576, "T × 1536"),
    ]
    description = (
        "The residual stream x (T × 576) is a straight line. Attention reads it through RMSNorm, mixes the "
        "tokens with 9 query heads and 3 key and value heads, and adds its result to the stream. Then the "
        "SwiGLU feed-forward part reads it through RMSNorm, widens each token to 1536 numbers, and adds."
    )
    save(PICTURES / "block.svg", 686, "One transformer block of SmolLM2-135M", description, parts)


def draw_loop() -> None:
    """Time runs from left to right: forward passes in one row, the KV cache after each pass below."""
    top, row, cache, cell = 184, 211, 336, 16  # y of the passes, their middle and the cache; size of a cell

    def token(x: float, y: float, text: str, width: float) -> str:
        return box(x - width / 2, y - 13, width, 26, text, PALE_ORANGE, ORANGE)

    def columns(left: float, old: int, new: int) -> str:
        """The cache after a pass: `old` columns, then `new` ones, which are blue."""
        n = old + new
        colors = [(WHITE, GREY)] * old + [(PALE_BLUE, BLUE)] * new
        cells = [box(left + i * cell, cache, cell, 34, str(i + 1), *colors[i]) for i in range(n)]
        return "\n".join([*cells, label(left + n * cell / 2, cache + 54, f"{n} columns", color=GREY)])

    parts = [
        label(28, 72, "prefill: 1 pass for 6 tokens,", "start", BLUE, BOLD),
        label(28, 90, "limited by arithmetic (long prompts)", "start"),
        path((28, 102), (294, 102)),
        label(372, 72, "decode: 1 pass per token,", "start", BLUE, BOLD),
        label(372, 90, "limited by reading the weights (269 MB in bfloat16) from memory", "start"),
        path((372, 102), (872, 102)),
        box(28, top, 266, 54, "one forward pass", PALE_BLUE, BLUE),
        arrow((161, top + 54), (161, cache - 3)),
        label(169, 285, "write columns 1–6", "start"),
        label(28, cache + 22, "KV cache", "start", style=BOLD),
        columns(161 - 3 * cell, 0, 6),
        arrow((294, row), (312, row)),
        token(325, row, "A", 26),
        arrow((338, row), (372, row)),
        path((325, 164), (325, row - 15), style='stroke-dasharray="2 3"'),
        label(318, 138, "the first answer token", "start", GREY),
        label(318, 156, "comes out of the prefill", "start", GREY),
        arrow((28, 418), (872, 418)),
        label(872, 438, "time", "end", GREY),
        label(28, 444, "One column: the keys and values of one token, in all 30 blocks. Blue: new.", "start"),
        label(28, 464, "The last token has no column yet: no pass has read it.", "start"),
    ]
    x = 28
    for text, width in ("What", 46), ("is", 26), ("a", 24), ("transformer", 88), ("model", 50), ("?", 22):
        parts += [token(x + width / 2, 135, text, width), arrow((x + width / 2, 148), (x + width / 2, top))]
        x += width + 2
    for old, x, text, width in (6, 402, "transformer", 88), (7, 594, "is", 28), (8, 786, "a", 26):
        out = x + 96 if old < 8 else 859  # the token that comes out of the pass at x
        left = x + 10 - old * cell  # the cache ends right of the pass, with its new column
        parts += [
            box(x - 30, top, 60, 54, "forward\npass", PALE_BLUE, BLUE),
            arrow((x + 30, row), (out - width / 2, row)),
            token(out, row, text, width),
            path((left + 1, cache - 4), (left + 1, cache - 12), (x + 9, cache - 12), (x + 9, cache - 4)),
            arrow((x - 14, cache - 12), (x - 14, top + 54)),
            label(x - 22, 285, f"read all {old}", "end"),
            arrow((x + 18, top + 54), (x + 18, cache - 3)),
            label(x + 26, 285, "append 1", "start"),
            columns(left, old, 1),
        ]
        if old < 8:
            parts.append(arrow((out + width / 2, row), (x + 162, row)))
    description = (
        "One prefill pass reads the 6 tokens of the prompt, fills columns 1 to 6 of the KV cache and gives "
        "the first answer token. Then each decode pass reads one token and the whole cache, appends one "
        "column, and gives the next token: the cache grows to 7, 8 and 9 columns."
    )
    save(PICTURES / "loop.svg", 484, "The generation loop", description, parts)


if __name__ == "__main__":
    draw_block()
    draw_loop()
