"""Draw the loop that generates text and its KV cache, for chapter 7 of step 1.

python -m docs.drawings.generation_loop
"""

from pathlib import Path

from docs.drawings.svg import (
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
    path,
    save,
)

FILE = Path(__file__).parents[2] / "step1_foundations" / "lessons" / "pictures" / "loop.svg"
PROMPT = [("What", 46), ("is", 26), ("a", 24), ("transformer", 88), ("model", 50), ("?", 22)]  # text, width
PASS = 184  # y of the forward passes, 54 high
MIDDLE = 211  # y of their middle
CACHE = 336  # y of the KV cache
CELL = 16  # width of a column of the cache
DESCRIPTION = (
    "One prefill pass reads the 6 tokens of the prompt, fills columns 1 to 6 of the KV cache and gives "
    "the first answer token. Then each decode pass reads one token and the whole cache, appends one "
    "column, and gives the next token: the cache grows to 7, 8 and 9 columns."
)


def main() -> None:
    """Draw time from left to right: forward passes in one row, the KV cache after each pass below."""
    parts = [
        *phases(),
        *prefill(),
        arrow((28, 418), (872, 418)),
        label(872, 438, "time", "end", GREY),
        label(28, 444, "One column: the keys and values of one token, in all 30 blocks. Blue: new.", "start"),
        label(28, 464, "The last token has no column yet: no pass has read it.", "start"),
        *prompt(),
        *decode(402, 6, "transformer", 88),
        arrow((542, MIDDLE), (564, MIDDLE)),
        *decode(594, 7, "is", 28),
        arrow((704, MIDDLE), (756, MIDDLE)),
        *decode(786, 8, "a", 26, to_next=73),
    ]
    save(FILE, 484, "The generation loop", DESCRIPTION, parts)


def phases() -> list[str]:
    """The names of both phases, over the passes that belong to them."""
    return [
        label(28, 72, "prefill: 1 pass for 6 tokens,", "start", BLUE, BOLD),
        label(28, 90, "limited by arithmetic (long prompts)", "start"),
        path((28, 102), (294, 102)),
        label(372, 72, "decode: 1 pass per token,", "start", BLUE, BOLD),
        label(372, 90, "limited by reading the weights (269 MB in bfloat16) from memory", "start"),
        path((372, 102), (872, 102)),
    ]


def prefill() -> list[str]:
    """One pass over the prompt, which fills the cache and gives the first token of the answer."""
    return [
        box(28, PASS, 266, 54, "one forward pass", PALE_BLUE, BLUE),
        arrow((161, PASS + 54), (161, CACHE - 3)),
        label(169, 285, "write columns 1–6", "start"),
        label(28, CACHE + 22, "KV cache", "start", style=BOLD),
        columns(161 - 3 * CELL, 0, 6),
        arrow((294, MIDDLE), (312, MIDDLE)),
        token(325, MIDDLE, "A", 26),
        arrow((338, MIDDLE), (372, MIDDLE)),
        path((325, 164), (325, MIDDLE - 15), style='stroke-dasharray="2 3"'),
        label(318, 138, "the first answer token", "start", GREY),
        label(318, 156, "comes out of the prefill", "start", GREY),
    ]


def prompt() -> list[str]:
    """The tokens of the prompt, side by side; all go into the prefill."""
    parts = []
    left = 28
    for text, width in PROMPT:
        middle = left + width / 2
        parts += [token(middle, 135, text, width), arrow((middle, 148), (middle, PASS))]
        left += width + 2
    return parts


def decode(x: int, cached: int, text: str, width: int, to_next: int = 96) -> list[str]:
    """One pass, its middle at `x`, that reads `cached` columns, appends one and gives the token `text`.

    width: of the token's box; to_next: pixels from the pass to the middle of that box.
    """
    out = x + to_next
    left = x + 10 - cached * CELL  # the cache ends right of the pass, with its new column
    bracket = [(left + 1, CACHE - 4), (left + 1, CACHE - 12), (x + 9, CACHE - 12), (x + 9, CACHE - 4)]
    return [
        box(x - 30, PASS, 60, 54, "forward\npass", PALE_BLUE, BLUE),
        arrow((x + 30, MIDDLE), (out - width / 2, MIDDLE)),
        token(out, MIDDLE, text, width),
        path(*bracket),
        arrow((x - 14, CACHE - 12), (x - 14, PASS + 54)),
        label(x - 22, 285, f"read all {cached}", "end"),
        arrow((x + 18, PASS + 54), (x + 18, CACHE - 3)),
        label(x + 26, 285, "append 1", "start"),
        columns(left, cached, 1),
    ]


def token(x: float, y: float, text: str, width: float) -> str:
    """A token in a box with its middle at (x, y)."""
    return box(x - width / 2, y - 13, width, 26, text, PALE_ORANGE, ORANGE)


def columns(left: float, old: int, new: int) -> str:
    """The cache after a pass: `old` columns, then `new` ones, which are blue."""
    parts = []
    for i in range(old + new):
        fill, border = (WHITE, GREY) if i < old else (PALE_BLUE, BLUE)
        parts.append(box(left + i * CELL, CACHE, CELL, 34, str(i + 1), fill, border))
    middle = left + (old + new) * CELL / 2
    parts.append(label(middle, CACHE + 54, f"{old + new} columns", color=GREY))
    return "\n".join(parts)


if __name__ == "__main__":
    main()
