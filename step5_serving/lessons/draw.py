"""Draw the picture of chapter 11: the same two requests in slots, and in pages.

python step5_serving/lessons/draw.py
"""

from __future__ import annotations

from pathlib import Path

from pictures.svg import (
    BLUE,
    BOLD,
    GREY,
    ORANGE,
    PALE_BLUE,
    PALE_ORANGE,
    WHITE,
    arrow,
    box,
    label,
    save,
)

PICTURES = Path(__file__).parents[1] / "pictures"
SHARED, OWN, FREE = (PALE_BLUE, BLUE), (PALE_ORANGE, ORANGE), (WHITE, GREY)
BLOCK = 4  # tokens, in the drawing
USED = {"A": 11, "B": 6}  # tokens; the first BLOCK of each are the system prompt
TABLES = {"A": [2, 0, 4], "B": [2, 5]}  # in which blocks they lie


def cells(x: float, y: float, width: float, colors: list[tuple[str, str]]) -> list[str]:
    """A row of places, one token each."""
    return [box(x + width * n, y, width, 30, "", *each) for n, each in enumerate(colors)]


def draw_slots(x: float) -> list[str]:
    """One contiguous slot of 16 places for each request."""
    parts = [
        label(x, 74, "Slots: one piece of memory per request", "start", style=BOLD),
        label(x, 94, "This engine. The longest answer is reserved.", "start", GREY),
    ]
    for row, (name, used) in enumerate(USED.items()):
        y = 122 + 62 * row
        colors = [SHARED] * BLOCK + [OWN] * (used - BLOCK) + [FREE] * (16 - used)
        parts += [label(x + 8, y + 20, name, style=BOLD), *cells(x + 26, y, 22, colors)]
    return [
        *parts,
        label(x, 262, "The system prompt (blue) lies in both slots.", "start"),
        label(x, 282, "White places wait for tokens that may never come.", "start"),
    ]


def draw_pages(x: float) -> list[str]:
    """A table of blocks for each request, and the blocks."""
    pool, size = 206, 4 * 11 + 5  # y of the blocks; from one to the next
    parts = [
        label(x, 74, "Pages: a table of blocks per request", "start", style=BOLD),
        label(x, 94, "vLLM's PagedAttention. A block is taken when it is needed.", "start", GREY),
    ]
    colors = {number: [FREE] * BLOCK for number in range(8)}
    for name, left in zip(TABLES, (x + 26, x + 250), strict=True):
        parts.append(label(left - 14, 142, name, style=BOLD))
        for at, number in enumerate(TABLES[name]):
            filled = min(BLOCK, USED[name] - BLOCK * at)
            color = SHARED if at == 0 else OWN
            colors[number] = [color] * filled + [FREE] * (BLOCK - filled)
            middle = left + 36 * at + 18
            parts += [
                box(left + 36 * at, 122, 36, 30, str(number), *color),
                arrow((middle, 152), (x + size * number + 22, pool - 2)),
            ]
    for number, each in colors.items():
        parts += [
            *cells(x + size * number, pool, 11, each),
            label(x + size * number + 22, pool + 46, str(number), color=GREY),
        ]
    return [
        *parts,
        label(x, 282, "Block 2 is kept once for both. 1, 3, 6 and 7 are free.", "start"),
    ]


def draw() -> None:
    description = (
        "Left: requests A and B each have a slot of 16 places; the system prompt is stored in both, and the "
        "rest of each slot is reserved. Right: A's table names blocks 2, 0 and 4, B's names 2 and 5. Block 2 "
        "holds the system prompt of both; four of the eight blocks are free."
    )
    parts = [*draw_slots(28), *draw_pages(478)]
    save(PICTURES / "paging.svg", 306, "The KV cache in slots and in pages", description, parts)


if __name__ == "__main__":
    draw()
