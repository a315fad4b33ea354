"""Draw the attention mask of a training row with branches, for chapter 7 of step 2.

python -m docs.drawings.branch_mask
"""

from dataclasses import dataclass
from pathlib import Path

from docs.drawings.svg import (
    BLUE,
    BOLD,
    GREY,
    ORANGE,
    PALE_BLUE,
    PALE_ORANGE,
    WHITE,
    box,
    label,
    save,
)

FILE = Path(__file__).parents[2] / "step2_tools" / "lessons" / "pictures" / "branches.svg"
PREFIX = 0  # the part that all branches see


@dataclass(frozen=True)
class Token:
    """A token of the row."""

    text: str
    part: int  # PREFIX, or the number of its branch
    position: int  # that the model is told


ROW = (
    Token("tools:", PREFIX, 0),
    Token("weather", PREFIX, 1),
    Token("time", PREFIX, 2),
    Token("warm?", 1, 3),
    Token("call", 1, 4),
    Token("bye", 2, 3),
    Token("[ ]", 2, 4),
)
# What each part is called, with its fill and border.
PARTS = (
    ("the tools", WHITE, GREY),
    ("branch 1", PALE_BLUE, BLUE),
    ("branch 2", PALE_ORANGE, ORANGE),
)
NOTES = {  # beside the rows of each part
    PREFIX: ("The tools are read once.", "Each token sees itself", "and those before it."),
    1: ("Sees the tools and itself.",),
    2: ("Sees the tools and itself,", "but not branch 1."),
}
LEFT = 262  # of the grid
TOP = 152
WIDE = 62  # a cell
HIGH = 40
DESCRIPTION = (
    "Seven tokens: three of the tools, two of branch 1, two of branch 2. A table shows which token (row) "
    "sees which (column). Tokens of the tools see the tools up to themselves. Tokens of a branch see the "
    "tools and their own branch up to themselves. No token of branch 2 sees branch 1. The positions are "
    "0, 1, 2, then 3 and 4 for each branch."
)


def sees(row: int, column: int) -> bool:
    """Whether the token of this row may look at that of this column."""
    is_later = column > row
    same_part = ROW[row].part == ROW[column].part
    return not is_later and (same_part or ROW[column].part == PREFIX)


def main() -> None:
    """Draw the tokens on top and on the left, and between them what sees what."""
    right = LEFT + len(ROW) * WIDE
    parts = [
        label(LEFT, 72, "token that is seen", "start", style=BOLD),
        label(28, TOP - 34, "token that looks", "start", style=BOLD),
        label(LEFT - 34, TOP - 34, "position", style=BOLD),
        *grid(),
    ]
    for part, notes in NOTES.items():
        first = [token.part for token in ROW].index(part)
        y = TOP + first * HIGH + 20
        for i, note in enumerate(notes):
            parts.append(label(right + 22, y + 18 * i, note, "start"))
    bottom = TOP + len(ROW) * HIGH
    parts.append(label(28, bottom + 34, "✓ the token of the row sees that of the column.", "start"))
    parts.append(label(28, bottom + 54, "Empty: hidden, because it is later or in another branch.", "start"))
    parts.append(label(28, bottom + 74, "Both branches start at position 3, right after the tools.", "start"))
    save(FILE, bottom + 94, "One training row, two branches", DESCRIPTION, parts)


def grid() -> list[str]:
    """The tokens and a cell for each pair of them."""
    parts = []
    for i, token in enumerate(ROW):
        _, fill, border = PARTS[token.part]
        x = LEFT + i * WIDE
        y = TOP + i * HIGH
        parts.append(box(x + 2, TOP - 54, WIDE - 4, 30, token.text, fill, border))
        parts.append(box(28, y + 5, 130, HIGH - 10, token.text, fill, border))
        parts.append(label(LEFT - 34, y + HIGH / 2 + 4.5, str(token.position)))
        for j in range(len(ROW)):
            parts.append(cell(i, j))
    for part, (name, _, border) in enumerate(PARTS):
        places = [i for i, token in enumerate(ROW) if token.part == part]
        start = LEFT + places[0] * WIDE + 2
        end = LEFT + (places[-1] + 1) * WIDE - 2
        parts.append(label((start + end) / 2, TOP - 64, name, color=border))
    return parts


def cell(row: int, column: int) -> str:
    """A square: filled, with a tick, where the token of the row sees that of the column."""
    x = LEFT + column * WIDE
    y = TOP + row * HIGH
    if not sees(row, column):
        return box(x, y, WIDE, HIGH)
    _, fill, border = PARTS[ROW[row].part]
    return box(x, y, WIDE, HIGH, "✓", fill if fill != WHITE else "#eceff2", border)


if __name__ == "__main__":
    main()
