"""A model's files without the library around them: transformers takes four seconds to import, with torch.

    >>> read_config("tiny", load_settings())["hidden_size"]
    64

What has to answer at once (a search, a service that starts) takes these; everything else takes models.py.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from shared import models, weights
from shared.config import Settings
from shared.errors import loading

if TYPE_CHECKING:
    from tokenizers import Tokenizer


def load_tokenizer(model: str, settings: Settings) -> Tokenizer:
    """The model's tokenizer: nothing is cut or padded, whatever its file says.

    Raises:
        UserError: the model can't be had, or its folder has no tokenizer.
    """
    folder = weights.ensure(model, settings)
    if not (folder / "tokenizer.json").is_file():  # its older files alone: transformers reads those
        bare: Tokenizer = models.load_tokenizer(model, settings).backend_tokenizer
    else:
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        from tokenizers import Tokenizer

        with loading(f"the tokenizer of {model}", folder):
            bare = Tokenizer.from_file(str(folder / "tokenizer.json"))
    bare.no_truncation()
    bare.no_padding()
    return bare


def read_config(model: str, settings: Settings) -> dict[str, Any]:
    """What the model's config.json says.

    Raises:
        UserError: the model can't be had, or its file is none.
    """
    folder = weights.ensure(model, settings)
    with loading(f"the configuration of {model}", folder):
        config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return config
