"""A model's tokenizer and config without transformers, which takes seconds to import.

    >>> read_config("tiny", load_settings())["hidden_size"]
    64

For what must answer at once: a search from the command line, a service that starts. Everything else uses
load.py.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared import models
from shared.config import Settings
from shared.errors import explain_load_errors
from shared.models import weights
from shared.models.load import is_plain

if TYPE_CHECKING:
    from tokenizers import Tokenizer


def load_tokenizer(model: str, settings: Settings) -> Tokenizer:
    """The model's tokenizer (Hugging Face tokenizers), with truncation and padding off.

    Raises:
        UserError: the model is not available, or its folder has no tokenizer.
    """
    folder = weights.ensure(model, settings)
    if _is_complete(folder):
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        from tokenizers import Tokenizer

        with explain_load_errors(f"the tokenizer of {model}", folder):
            tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
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
        config = _read(folder / file)
        if not isinstance(config, dict):
            raise ValueError(f"{file} is not a JSON object")
    return config


def _is_complete(folder: Path) -> bool:
    """Whether tokenizer.json alone gives transformers' ids; BERT's class has settings that may differ."""
    try:
        if is_plain(folder):
            return True
        config = _read(folder / "tokenizer_config.json")
        normalizer = _read(folder / "tokenizer.json")["normalizer"]
        return config.get("tokenizer_class") in ("BertTokenizer", "BertTokenizerFast") and all(
            normalizer[here] == config.get(there, default)
            for here, there, default in (
                ("lowercase", "do_lower_case", True),
                ("strip_accents", "strip_accents", None),
                ("handle_chinese_chars", "tokenize_chinese_chars", True),
            )
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # transformers will report it
        return False


def _read(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
