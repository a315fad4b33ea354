"""Draw which query heads share which key and value head, for chapter 4 of step 1.

python -m docs.drawings.shared_heads
"""

from pathlib import Path

from docs.drawings.svg import (
    BLUE,
    BOLD,
    ORANGE,
    PALE_BLUE,
    PALE_ORANGE,
    arrow,
    box,
    label,
    save,
)

FILE = Path(__file__).parents[2] / "step1_foundations" / "lessons" / "pictures" / "shared-heads.svg"
QUERIES = 9
GROUP = 3  # query heads that share one head of keys and values
LEFT = 150  # x of the first head
STEP = 78  # from one query head to the next, in pixels
WIDTH = 62  # of a head
# y of the two rows.
QUERY = 84
SHARED = 176
DESCRIPTION = (
    "Nine query heads in a row, 0 to 8. Below them are three heads of keys and values, 0 to 2. Query heads "
    "0, 1 and 2 use head 0, query heads 3, 4 and 5 use head 1, and query heads 6, 7 and 8 use head 2."
)


def main() -> None:
    """Draw two rows of heads, and an arrow from each query head to the one that it uses."""
    parts = [
        label(28, QUERY + 23, "queries", "start", style=BOLD),
        label(28, SHARED + 23, "keys, values", "start", style=BOLD),
    ]
    for i in range(QUERIES):
        x = LEFT + i * STEP
        parts.append(box(x, QUERY, WIDTH, 36, str(i), PALE_BLUE, BLUE))
        parts.append(arrow((x + WIDTH / 2, QUERY + 36), (x + WIDTH / 2, SHARED)))
    for i in range(QUERIES // GROUP):
        x = LEFT + i * GROUP * STEP
        parts.append(box(x, SHARED, WIDTH + (GROUP - 1) * STEP, 36, str(i), PALE_ORANGE, ORANGE))
    save(FILE, 236, "Three query heads share the keys and values of one head", DESCRIPTION, parts)


if __name__ == "__main__":
    main()
