"""The parts of a drawing as SVG, and the card around them, which is legible on a light or dark page."""

from html import escape
from pathlib import Path

INK = "#1f2328"
GREY = "#59636e"
EDGE = "#d1d9e0"  # of cards and panels
CARD = "#fafaf8"
WHITE = "#ffffff"
BLUE = "#1f5fa8"
PALE_BLUE = "#e3eefa"
ORANGE = "#a85b00"
PALE_ORANGE = "#ffe3bd"
BOLD = 'font-weight="600"'
WIDTH = 900  # of a picture, in pixels
LINE_HEIGHT = 18  # pixels from one line of a box to the next


def label(x: float, y: float, text: str, anchor: str = "middle", color: str = INK, style: str = "") -> str:
    """One line of text; (x, y) is the middle, start or end of its baseline, by `anchor`."""
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" fill="{color}" {style}>{escape(text)}</text>'


def box(x: float, y: float, w: float, h: float, text: str = "", fill: str = WHITE, line: str = GREY) -> str:
    """A rectangle, `w` wide and `h` high, with the lines of `text` in its centre and a border in `line`."""
    parts = [f'<rect x="{x:g}" y="{y:g}" width="{w:g}" height="{h:g}" rx="3" fill="{fill}" stroke="{line}"/>']
    lines = text.split("\n")
    # A baseline lies 4.5 pixels below the middle of its line.
    baseline = y + h / 2 + 4.5 - LINE_HEIGHT / 2 * (len(lines) - 1)
    for words in lines:
        if words:
            parts.append(label(x + w / 2, baseline, words))
        baseline += LINE_HEIGHT
    return "\n".join(parts)


def path(*points: tuple[float, float], color: str = GREY, style: str = 'stroke-width="1.5"') -> str:
    """A line through all points."""
    positions = " ".join(f"{x:g},{y:g}" for x, y in points)
    return f'<polyline points="{positions}" fill="none" stroke="{color}" {style}/>'


def arrow(*points: tuple[float, float]) -> str:
    """A line through all points, with an arrowhead at its end."""
    return path(*points, style='stroke-width="1.5" marker-end="url(#tip)"')


def save(file: Path, height: int, title: str, description: str, parts: list[str]) -> None:
    """Write the picture: its title and its parts on a card."""
    head = f"""<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}"
  viewBox="0 0 {WIDTH} {height}" font-family="system-ui, sans-serif" font-size="13"
  role="img" aria-labelledby="title desc">
<title id="title">{escape(title)}</title>
<desc id="desc">{escape(description)}</desc>
<defs><marker id="tip" markerWidth="9" markerHeight="8" refX="8" refY="4" orient="auto"
  markerUnits="userSpaceOnUse"><path d="M0,0L9,4L0,8z" fill="{GREY}"/></marker></defs>
<rect x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="12" fill="{CARD}" stroke="{EDGE}"/>"""
    heading = label(28, 36, title, "start", style='font-size="18" font-weight="600"')
    file.parent.mkdir(exist_ok=True)
    file.write_text("\n".join([head, heading, *parts, "</svg>\n"]), encoding="utf-8")
