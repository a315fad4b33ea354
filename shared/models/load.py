"""The loaders: from a model's name to an object of transformers or sentence-transformers.

    >>> tokenizer, model = load_tokenizer("tiny"), load_causal_lm("tiny")
    >>> model.generate(**tokenizer("Hello", return_tensors="pt"), max_new_tokens=5).shape
    torch.Size([1, 10])

They only read safetensors, and never run code from a model's repository (`trust_remote_code` stays off).
Large libraries are imported inside functions (shared/models/__init__.py says why).
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from tokenizers import Tokenizer

from shared.catalog import catalog
from shared.config import Settings, load_settings
from shared.errors import explain_load_errors
from shared.models import weights
from shared.models.device import choose_device, choose_dtype, settings_for_batch, use_threads
from shared.models.quiet import quiet_transformers

# Only weights as safetensors, no code from a model's repository, no network.
SAFE: Any = {"use_safetensors": True, "trust_remote_code": False, "local_files_only": True}

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from transformers import GenerationMixin, PreTrainedModel, PreTrainedTokenizerFast

    class CausalLM(PreTrainedModel, GenerationMixin):
        """The type that `load_causal_lm` returns: a transformers model with `generate`."""


def load_tokenizer(model: str | None = None, settings: Settings | None = None) -> PreTrainedTokenizerFast:
    """The model's own tokenizer, with its chat template.

    Raises:
        UserError: the model is not available, or its folder has no tokenizer.
    """
    settings = settings or load_settings(model=model)
    name = model or settings.model
    folder = weights.ensure(name, settings)
    with explain_load_errors(f"the tokenizer of {name}", folder):
        transformers = quiet_transformers()
        class_name = read_config(name, settings, "tokenizer_config.json").get("tokenizer_class")
        # AutoTokenizer takes a second to import all models' classes. These two only need tokenizer.json.
        is_generic = class_name in ("TokenizersBackend", "PreTrainedTokenizerFast")
        loader: Any = transformers.PreTrainedTokenizerFast if is_generic else transformers.AutoTokenizer
        return loader.from_pretrained(folder, local_files_only=True, trust_remote_code=False)


def load_fast_tokenizer(model: str, settings: Settings) -> Tokenizer:
    """The model's tokenizer.json as a `tokenizers.Tokenizer`, with truncation and padding off.

    This doesn't import transformers, which takes seconds, so searches and services start faster.

    Raises:
        UserError: the model is not available, or its folder has no tokenizer.
    """
    file = weights.ensure(model, settings) / "tokenizer.json"
    # For models in models.toml, this file gives the same ids as transformers; others may need more files.
    if model in catalog():
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        with explain_load_errors(f"the tokenizer of {model}", file.parent):
            tokenizer = Tokenizer.from_file(str(file))
    else:
        tokenizer = load_tokenizer(model, settings).backend_tokenizer
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def read_config(model: str, settings: Settings, file: str = "config.json") -> dict[str, Any]:
    """The JSON object in a file of the model; empty if the file doesn't exist.

    Raises:
        UserError: the model is not available, or the file can't be read.
    """
    path = weights.ensure(model, settings) / file
    with explain_load_errors(model, path.parent):
        if not path.is_file():
            return {}
        return dict(json.loads(path.read_text(encoding="utf-8")))


def load_causal_lm(
    model: str | None = None,
    device: str | None = None,
    dtype: str | None = None,
    settings: Settings | None = None,
    **kwargs: Any,
) -> CausalLM:
    """A transformers causal LM in eval mode, on the settings' device and in their dtype.

    Also sets torch's thread count from `settings.threads`. `kwargs` go to `from_pretrained`, e.g.
    `attn_implementation="eager"` to get attention weights.

    Raises:
        UserError: the model is not available, is damaged, or is not a causal language model.
    """
    settings = settings or load_settings(model=model, device=device, dtype=dtype)
    name = model or settings.model
    folder = weights.ensure(name, settings)
    target = choose_device(device or settings.device)
    use_threads(settings)
    with explain_load_errors(name, folder):
        loaded, report = quiet_transformers().AutoModelForCausalLM.from_pretrained(
            folder,
            output_loading_info=True,
            dtype=choose_dtype(dtype or settings.dtype, target),
            **SAFE,
            **kwargs,
        )
        if report["missing_keys"]:  # transformers fills them with random numbers
            n = len(report["missing_keys"])
            raise ValueError(f"the weights lack {n} tensors that its config.json names")
        return loaded.to(target).eval()


def load_embedder(settings: Settings) -> SentenceTransformer:
    """The sentence-transformers model; `encode(texts)` returns vectors of shape (n, dim).

    Raises:
        UserError: the model is not available or is damaged.
    """
    quiet_transformers()
    from sentence_transformers import SentenceTransformer  # after the settings for transformers

    folder = weights.ensure(settings.embedder, settings)
    device = choose_device(settings.device)
    use_threads(settings)
    options = _embedder_options(settings)
    with explain_load_errors(settings.embedder, folder):
        return SentenceTransformer(str(folder), device=device, local_files_only=True, model_kwargs=options)


def load_encoder(settings: Settings) -> PreTrainedModel:
    """The transformer inside the sentence-embedding model; its last hidden states are (n, tokens, dim).

    Loads several seconds faster than `load_embedder`, as it doesn't import sentence-transformers.

    Raises:
        UserError: the model is not available or is damaged.
    """
    folder = weights.ensure(settings.embedder, settings)
    device = choose_device(settings.device)
    use_threads(settings)
    options = _embedder_options(settings)
    with explain_load_errors(settings.embedder, folder):
        loaded: Any = quiet_transformers().AutoModel.from_pretrained(folder, **options)
        return loaded.to(device).eval()


def _embedder_options(settings: Settings) -> dict[str, Any]:
    """The arguments for `from_pretrained`."""
    return {"dtype": settings_for_batch(settings).dtype, **SAFE}
