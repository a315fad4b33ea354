"""Draw what RoPE does with pairs of numbers, for chapter 4 of step 1.

python -m docs.drawings.rotation
"""

from math import cos, sin
from pathlib import Path

from docs.drawings.svg import BLUE, BOLD, EDGE, GREY, INK, ORANGE, WHITE, arrow, box, label, path, save

FILE = Path(__file__).parents[2] / "step1_foundations" / "lessons" / "pictures" / "rope.svg"
RADIUS = 88  # of a circle, in pixels
CENTER = 212  # y of the centres of all circles
FAST = 1.0  # radians per position
SLOW = 0.1
DESCRIPTION = (
    "Three circles. In the first, a pair of numbers is rotated by 1 radian per position: positions 0 to 3 "
    "are far apart. In the second, a pair is rotated by 0.1 radian per position: they are close "
    "together. In the third, a query and a key of the same pair, two positions apart, are rotated further, "
    "and the angle between them stays the same."
)


def main() -> None:
    """Draw three panels: a fast pair, a slow pair, and a query and a key whose distance stays."""
    parts = [
        *panel(162, "A fast pair", "1 radian per position"),
        *hands(162, FAST, [0, 1, 2, 3]),
        *panel(450, "A slow pair", "0.1 radian per position"),
        *hands(450, SLOW, [0, 3]),
        *panel(738, "Query and key, 2 apart", "the angle between stays 2 radians"),
        *query_and_key(738),
    ]
    save(FILE, 366, "RoPE rotates pairs of numbers by their position", DESCRIPTION, parts)


def panel(x: float, title: str, below: str) -> list[str]:
    """A circle with its axes; `x` of its centre."""
    circle = f'<circle cx="{x}" cy="{CENTER}" r="{RADIUS}" fill="none" stroke="{EDGE}"/>'
    return [
        box(x - 134, 54, 268, 296, line=EDGE),
        label(x, 80, title, style=BOLD),
        circle,
        path((x - RADIUS, CENTER), (x + RADIUS, CENTER), color=EDGE),
        path((x, CENTER - RADIUS), (x, CENTER + RADIUS), color=EDGE),
        label(x, 338, below, color=GREY),
    ]


def point(x: float, angle: float, radius: float = RADIUS) -> tuple[float, float]:
    """The point at this angle, counterclockwise from the right; `x` of the circle's centre."""
    return round(x + radius * cos(angle), 1), round(CENTER - radius * sin(angle), 1)


def hands(x: float, speed: float, named: list[int]) -> list[str]:
    """The pair (1, 0) at positions 0 to 3, `speed` radians further each; labels for those `named`."""
    parts = []
    for t in range(4):
        parts.append(arrow((x, CENTER), point(x, speed * t)))
    for t in named:
        name_x, name_y = point(x, speed * t, RADIUS + 15)
        parts.append(label(name_x, name_y + 4.5, str(t), color=INK, style=BOLD))
    return parts


def query_and_key(x: float) -> list[str]:
    """A key at position 0 and a query at 2, then both one position further: rotated by 1 radian more."""
    parts = []
    for first, color in ((0, BLUE), (1, ORANGE)):
        for name, t in (("k", first), ("q", first + 2)):
            name_x, name_y = point(x, FAST * t, RADIUS + 17)
            dashes = "" if name == "q" else 'stroke-dasharray="5 4"'
            end_x, end_y = point(x, FAST * t)
            parts.append(path((x, CENTER), (end_x, end_y), color=color, style=f'stroke-width="2.5" {dashes}'))
            parts.append(f'<circle cx="{end_x}" cy="{end_y}" r="4" fill="{WHITE}" stroke="{color}"/>')
            parts.append(label(name_x, name_y + 4.5, f"{name}{t}", color=color, style=BOLD))
    return parts


if __name__ == "__main__":
    main()
