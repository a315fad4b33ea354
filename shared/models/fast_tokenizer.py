"""A model's files without the library around them: transformers takes four seconds to import, with torch.

    >>> read_config("tiny", load_settings())["hidden_size"]
    64

What has to answer at once (a search, a service that starts) takes these; everything else takes models.py.
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
    """The model's tokenizer: nothing is cut or padded, whatever its file says.

    Raises:
        UserError: the model can't be had, or its folder has no tokenizer.
    """
    folder = weights.ensure(model, settings)
    if _says_all(folder):
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        from tokenizers import Tokenizer

        with explain_load_errors(f"the tokenizer of {model}", folder):
            bare = Tokenizer.from_file(str(folder / "tokenizer.json"))
    else:
        bare = models.load_tokenizer(model, settings).backend_tokenizer
    bare.no_truncation()
    bare.no_padding()
    return bare


def read_config(model: str, settings: Settings, file: str = "config.json") -> dict[str, Any]:
    """What a file of the model's says; nothing where there is none.

    Raises:
        UserError: the model can't be had, or its file is no JSON object.
    """
    folder = weights.ensure(model, settings)
    with explain_load_errors(model, folder):
        config = _read(folder / file)
        if not isinstance(config, dict):
            raise ValueError(f"{file} is no JSON object")
    return config


def _says_all(folder: Path) -> bool:
    """Whether tokenizer.json is all that counts: BERT's class has settings of its own, which may differ."""
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
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # transformers will say what is wrong
        return False


def _read(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
