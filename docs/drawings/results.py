"""Draw a result of steps 1 to 4 each, for the cards of the website's home page.

python -m docs.drawings.results

The results are those that the chapters show: `make docs` draws them after it has renewed the chapters.
"""

from __future__ import annotations

import re
import textwrap
from html import escape
from pathlib import Path

from docs.drawings.svg import BLUE, BOLD, CARD, EDGE, GREY, INK, ORANGE, PALE_BLUE, PALE_ORANGE, box, label

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "docs" / "pictures"
WIDTH = 480  # of a picture, in pixels
HEIGHT = 270
LINE_LENGTH = 54  # characters of a line of text
# A row of the table: layer, best guess, its probability in percent.
LENS_ROW = re.compile(r"^layer (\d+) +(\S+) +([\d.]+)%", re.MULTILINE)
# A row of `evaluate`: who replied, a mean, then five shares; of these, the fourth: good replies.
TONE_ROW = re.compile(
    r"^(template|base|guide|few-shot|tone) +[\d.]+(?: +\d+% \([\d-]+\)){3} +(\d+)%", re.MULTILINE
)


def main() -> None:
    """Write the four pictures."""
    save("step1", "Which token comes next?", lens_bars(output("step1_foundations", "06-", "logit-lens")))
    save("step2", "A model that asks for a function", conversation(output("step2_tools", "01-", "--trace")))
    save(
        "step3",
        "An answer with its source",
        sourced_answer(output("step3_rag", "01-", "renew automatically")),
    )
    evaluation = "\n".join(output("step4_finetune", "08-", "--split test"))
    save("step4", "Replies in the company's tone", tone_bars(TONE_ROW.findall(evaluation)))


def chapter_text(step: str, number: str) -> str:
    """The text of the chapter whose file name begins with `number`."""
    (path,) = (ROOT / step / "lessons").glob(f"{number}*.md")
    return path.read_text(encoding="utf-8")


def output(step: str, number: str, words: str) -> list[str]:
    """The lines of a chapter's console block, its command first, whose command contains `words`.

    Raises:
        ValueError: the chapter has no such command.
    """
    command = rf"^\$ (python -m [^\n]*{words}.*?)(?:^\$|^```)"
    block = re.search(command, chapter_text(step, number), re.MULTILINE | re.DOTALL)
    if not block:
        raise ValueError(f"{step}, chapter {number}: no command with {words!r}")
    return block[1].splitlines()


def lens_bars(lines: list[str]) -> list[str]:
    """The prompt, and a bar for the best guess after each of the last layers."""
    prompt = re.findall(r'"(.+)"', lines[0])[0]
    parts = quote(62, prompt, GREY)
    rows = LENS_ROW.findall("\n".join(lines))[-6:]
    y = 104
    for layer, guess, percent in rows:
        is_last = layer == rows[-1][0]
        parts += bar(y, f"layer {layer}", float(percent), f"{guess.strip('·')} {percent} %", is_last)
        y += 26
    return parts


def bar(y: int, name: str, percent: float, text: str, is_main: bool) -> list[str]:
    """A named bar with a text at its end; the main one is orange."""
    left = 104
    wide = 240 * percent / 100
    fill = PALE_ORANGE if is_main else PALE_BLUE
    line = ORANGE if is_main else BLUE
    return [
        label(left - 10, y + 14, name, "end", GREY),
        box(left, y, max(wide, 2), 20, "", fill, line),
        label(left + wide + 8, y + 15, text, "start", style=BOLD if is_main else ""),
    ]


def conversation(lines: list[str]) -> list[str]:
    """The messages of a trace: who speaks, and the first lines of what is said."""
    parts = []
    y = 64
    for line in lines[1:4]:
        speaker, said = re.split(r" {2,}", line, maxsplit=1)
        said = re.sub(r" *<- toolu_\w+", "", said)
        color = ORANGE if speaker == "assistant" else INK
        parts.append(label(28, y, speaker, "start", GREY))
        parts += quote(y + 20, said, color)
        y += 68
    return parts


def sourced_answer(lines: list[str]) -> list[str]:
    """Question, answer, source and confidence."""
    question = re.findall(r'"(.+)"', lines[0])[0]
    answer = next(line for line in lines if re.search(r"\[\d\]$", line))
    source = next(line for line in lines if line.startswith("[1]"))
    confidence = next(line for line in lines if line.startswith("confidence"))
    parts = [*quote(64, question, GREY), *quote(100, answer, INK)]
    parts += [
        *quote(164, source, BLUE),
        label(28, 236, ", ".join(confidence.split(", ")[:2]), "start", ORANGE),
    ]
    return parts


def tone_bars(rows: list[tuple[str, str]]) -> list[str]:
    """A bar for each way to make the model reply."""
    parts = [label(28, 62, "true to the notes, all rules kept, and reads as one reply", "start", GREY)]
    y = 84
    for system, percent in rows:
        is_tuned = system == "tone"
        name = "tuned" if is_tuned else system
        parts += bar(y, name, float(percent), f"{percent} %", is_tuned)
        y += 34
    return parts


def quote(y: int, text: str, color: str) -> list[str]:
    """The first two lines of a text, the second one cut off where it is too long."""
    lines = textwrap.wrap(text, LINE_LENGTH, max_lines=2, placeholder=" …")
    return [label(28, y + 19 * i, line, "start", color) for i, line in enumerate(lines)]


def save(name: str, title: str, parts: list[str]) -> None:
    """Write a picture as wide as a card."""
    head = f"""<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}"
  viewBox="0 0 {WIDTH} {HEIGHT}" font-family="system-ui, sans-serif" font-size="15" role="img">
<title>{escape(title)}</title>
<rect x="0.5" y="0.5" width="{WIDTH - 1}" height="{HEIGHT - 1}" rx="12" fill="{CARD}" stroke="{EDGE}"/>"""
    heading = label(28, 36, title, "start", style='font-size="18" font-weight="600"')
    text = "\n".join([head, heading, *parts, "</svg>\n"])
    (PICTURES / f"{name}.svg").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
