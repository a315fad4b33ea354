"""A run of the agent as one HTML page that needs no server and asks no other host for anything.

>>> write_page(Path("run.html"), transcript, outcome)

Each turn shows what the model read, what it wrote, and what the tools returned. Without JavaScript all turns
are open; with it, the arrow keys and two buttons walk through them.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from shared.errors import UserError
from step3_rag.agent.transcript import Call, Outcome, Transcript, Turn

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Line:
    """A message of the context as the page shows it."""

    role: str
    text: str


@dataclass(frozen=True)
class ShownCall:
    """A call as the page shows it."""

    name: str
    arguments: str  # JSON
    result: str
    documents: tuple[str, ...]
    state: str  # "", "error" or "refused"


@dataclass(frozen=True)
class ShownTurn:
    """A turn as the page shows it."""

    number: int
    context: list[Line]
    text: str  # that the model wrote; empty beside calls
    calls: list[ShownCall]
    turn: Turn


def page(transcript: Transcript, outcome: Outcome | None = None) -> str:
    """The page's HTML. Whatever a document or the model says stays text."""
    loader = jinja2.FileSystemLoader(HERE)
    environment = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    turns = [_shown(number, turn) for number, turn in enumerate(transcript.turns, 1)]
    style = (HERE / "page.css").read_text(encoding="utf-8")
    script = (HERE / "page.js").read_text(encoding="utf-8")
    template = environment.get_template("page.html.jinja")
    return template.render(run=transcript, turns=turns, outcome=outcome, style=style, script=script)


def write_page(path: Path, transcript: Transcript, outcome: Outcome | None = None) -> None:
    """Write the page to a file.

    Raises:
        UserError: the file can't be written.
    """
    try:
        path.write_text(page(transcript, outcome), encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from None


def _shown(number: int, turn: Turn) -> ShownTurn:
    context: list[Line] = []
    for message in turn.messages:
        context += _lines(message)
    text = "".join(block["text"] for block in turn.reply if block["type"] == "text")
    return ShownTurn(number, context, text, [_shown_call(call) for call in turn.calls], turn)


def _lines(message: dict[str, Any]) -> list[Line]:
    """The lines of a message: one for each block."""
    content = message["content"]
    if isinstance(content, str):
        return [Line(message["role"], content)]
    lines = []
    for block in content:
        if block["type"] == "tool_use":
            lines.append(Line("call", f"{block['name']} {_as_json(block['input'])}"))
        elif block["type"] == "tool_result":
            lines.append(Line("result", str(block["content"])))
        else:
            lines.append(Line(message["role"], block["text"]))
    return lines


def _shown_call(call: Call) -> ShownCall:
    state = "error" if call.is_error else ""
    if call.refused:
        state = "refused"
    return ShownCall(call.shown, _as_json(call.arguments), call.result, call.documents, state)


def _as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
