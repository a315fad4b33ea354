"""The texts of the exports, by Jinja2 from templates/."""

from pathlib import Path
from typing import Any

import jinja2

TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).with_name("templates")),
    undefined=jinja2.StrictUndefined,
    keep_trailing_newline=True,
    autoescape=False,  # shell, YAML and Markdown of ours
)


def render(template: str, **values: Any) -> bytes:
    """A text, from its template."""
    return TEMPLATES.get_template(f"{template}.jinja").render(**values).encode()
