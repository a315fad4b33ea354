"""Draw what the reader sees and what it says, for chapter 17 of step 4.

python -m docs.drawings.reading_window
"""

import math
from pathlib import Path

from docs.drawings.svg import BLUE, BOLD, GREY, ORANGE, PALE_BLUE, PALE_ORANGE, WHITE, arrow, box, label, save

FILE = Path(__file__).parents[2] / "step4_finetune" / "lessons" / "pictures" / "window.svg"
QUESTION = "How long is the notice?"
SENTENCES = ("The lease ends in June.", "You may leave after 60 days.", "Notice goes by post.")
SCORES = (0.0, -1.0, 2.0, 1.0)  # "not here", then the sentences: invented, as in the chapter
TOP = 74  # of the window
HIGH = 34  # of a box
WIDTHS = (52, 190, 52, 170, 246, 190 - 40)
BARS = 236  # y of the bars
LONGEST = 150  # pixels of probability 1
DESCRIPTION = (
    "One window holds the marker CLS, the question, a separator and three sentences of a passage. They "
    "pass together through six layers, in which every token looks at every other. The state of CLS gives "
    "the score of not here, the mean of each sentence's states gives its score. Softmax turns the scores "
    "0, -1, 2 and 1 into .09, .03, .64 and .24."
)


def main() -> None:
    """Draw the window on top, the layers below it, and the probabilities at the bottom."""
    total = sum(math.exp(score) for score in SCORES)
    texts = ("[CLS]", QUESTION, "[SEP]", *SENTENCES)
    parts = [label(28, TOP - 14, "the window: one text for the model", "start", style=BOLD)]
    x = 28.0
    centres = []
    for text, width in zip(texts, WIDTHS, strict=True):
        fill, line = WHITE, GREY
        if text == QUESTION:
            fill, line = PALE_BLUE, BLUE
        elif text in SENTENCES:
            fill, line = PALE_ORANGE, ORANGE
        parts.append(box(x, TOP, width - 6, HIGH, text, fill, line))
        centres.append(x + (width - 6) / 2)
        x += width
    parts.append(
        box(28, TOP + 54, x - 34, 40, "six layers of MiniLM: every token looks at every other token")
    )
    places = (centres[0], *centres[3:])
    names = ("not here", "sentence 1", "sentence 2", "sentence 3")
    for centre in centres:
        parts.append(arrow((centre, TOP + HIGH), (centre, TOP + 54)))
    for centre, name, score in zip(places, names, SCORES, strict=True):
        probability = math.exp(score) / total
        parts.append(arrow((centre, TOP + 94), (centre, TOP + 122)))
        parts.append(label(centre, TOP + 140, f"score {score:g}"))
        high = LONGEST * probability
        parts.append(box(centre - 22, BARS + LONGEST - high, 44, high, "", PALE_ORANGE, ORANGE))
        parts.append(label(centre, BARS + LONGEST - high - 8, f"{probability:.2f}".lstrip("0"), style=BOLD))
        parts.append(label(centre, BARS + LONGEST + 20, name))
    parts.append(label(centres[1], BARS + LONGEST / 2, "softmax: the probabilities"))
    parts.append(label(centres[1], BARS + LONGEST / 2 + 18, "of the four places add up to 1"))
    save(FILE, BARS + LONGEST + 44, "Question and passage in one window", DESCRIPTION, parts)


if __name__ == "__main__":
    main()
