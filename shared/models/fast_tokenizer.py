"""A model's tokenizer and config without transformers, which takes seconds to import.

    >>> read_config("tiny", load_settings())["hidden_size"]
    64

For what must answer at once: a search from the command line, a service that starts. Everything else uses
load.py.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from shared import models
from shared.catalog import catalog
from shared.config import Settings
from shared.errors import explain_load_errors
from shared.models import weights
from shared.models.load import read_json

if TYPE_CHECKING:
    from tokenizers import Tokenizer


def load_tokenizer(model: str, settings: Settings) -> Tokenizer:
    """The model's tokenizer.json (Hugging Face tokenizers), with truncation and padding off.

    Raises:
        UserError: the model is not available, or its folder has no tokenizer.
    """
    file = weights.ensure(model, settings) / "tokenizer.json"
    # For the models of models.toml this file gives transformers' ids; others may have settings beside it.
    if model in catalog() and file.is_file():
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        from tokenizers import Tokenizer

        with explain_load_errors(f"the tokenizer of {model}", file.parent):
            tokenizer = Tokenizer.from_file(str(file))
    else:
        tokenizer = models.load_tokenizer(model, settings).backend_tokenizer
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def read_config(model: str, settings: Settings, file: str = "config.json") -> dict[str, Any]:
    """A JSON file of the model; empty where it doesn't exist.

    Raises:
        UserError: the model is not available, or the file is not a JSON object.
    """
    folder = weights.ensure(model, settings)
    with explain_load_errors(model, folder):
        return read_json(folder / file)
