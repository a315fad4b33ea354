"""The loaders: a name goes in, a transformers or sentence-transformers object comes out.

    >>> tokenizer, model = load_tokenizer("tiny"), load_causal_lm("tiny")
    >>> model.generate(**tokenizer("Hello", return_tensors="pt"), max_new_tokens=5).shape
    torch.Size([1, 10])

Only safetensors are read, and no code of a model repository is run (`trust_remote_code` stays off).
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from shared.catalog import catalog
from shared.config import Settings, load_settings
from shared.errors import explain_load_errors
from shared.models import weights
from shared.models.device import choose_device, choose_dtype, settings_for_batch, use_threads
from shared.models.quiet import quiet_transformers

# Weights as safetensors only, no code of a model repository, nothing from the network.
SAFE: Any = {"use_safetensors": True, "trust_remote_code": False, "local_files_only": True}

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from tokenizers import Tokenizer
    from transformers import GenerationMixin, PreTrainedModel, PreTrainedTokenizerFast

    class CausalLM(PreTrainedModel, GenerationMixin):
        """What `load_causal_lm` returns: a transformers model that generates."""


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
        named = read_config(name, settings, "tokenizer_config.json").get("tokenizer_class")
        # AutoTokenizer takes a second to import the classes of all models. These need tokenizer.json only.
        plain = named in ("TokenizersBackend", "PreTrainedTokenizerFast")
        kind: Any = transformers.PreTrainedTokenizerFast if plain else transformers.AutoTokenizer
        tokenizer: PreTrainedTokenizerFast = kind.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    return tokenizer


def load_fast_tokenizer(model: str, settings: Settings) -> Tokenizer:
    """The model's tokenizer.json (Hugging Face tokenizers), with truncation and padding off.

    Without transformers, which takes seconds to import: for a search, or a service that starts.

    Raises:
        UserError: the model is not available, or its folder has no tokenizer.
    """
    file = weights.ensure(model, settings) / "tokenizer.json"
    # For the models of models.toml this file gives transformers' ids; others may have settings beside it.
    if model in catalog():
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        from tokenizers import Tokenizer

        with explain_load_errors(f"the tokenizer of {model}", file.parent):
            tokenizer = Tokenizer.from_file(str(file))
    else:
        tokenizer = load_tokenizer(model, settings).backend_tokenizer
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def read_config(model: str, settings: Settings, file: str = "config.json") -> dict[str, Any]:
    """A JSON object of the model; empty where the file doesn't exist.

    Raises:
        UserError: the model is not available, or the file can't be read.
    """
    path = weights.ensure(model, settings) / file
    with explain_load_errors(model, path.parent):
        return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}


def load_causal_lm(
    model: str | None = None,
    device: str | None = None,
    dtype: str | None = None,
    settings: Settings | None = None,
    **kwargs: Any,
) -> CausalLM:
    """A transformers causal LM in eval mode, on the device and in the dtype of the settings.

    Also sets torch's thread count from `settings.threads`. `kwargs` go to `from_pretrained`, e.g.
    `attn_implementation="eager"` to see attention weights.

    Raises:
        UserError: the model is not available, is damaged, or predicts no tokens.
    """
    settings = settings or load_settings(model=model, device=device, dtype=dtype)
    name = model or settings.model
    folder, target = weights.ensure(name, settings), choose_device(device or settings.device)
    use_threads(settings)
    with explain_load_errors(name, folder):
        loaded: Any
        loaded, report = quiet_transformers().AutoModelForCausalLM.from_pretrained(
            folder,
            output_loading_info=True,
            dtype=choose_dtype(dtype or settings.dtype, target),
            **SAFE,
            **kwargs,
        )
        if report["missing_keys"]:  # transformers would fill them with random numbers
            n = len(report["missing_keys"])
            raise ValueError(f"the weights lack {n} tensors that its config.json names")
        on_device: CausalLM = loaded.to(target).eval()
    return on_device


def load_embedder(settings: Settings) -> SentenceTransformer:
    """The sentence-transformers model: `encode(texts)` gives vectors of shape (n, dim).

    Raises:
        UserError: the model is not available or is damaged.
    """
    quiet_transformers()
    from sentence_transformers import SentenceTransformer

    folder, target = weights.ensure(settings.embedder, settings), choose_device(settings.device)
    options = {"dtype": settings_for_batch(settings).dtype, **SAFE}
    use_threads(settings)
    with explain_load_errors(settings.embedder, folder):
        return SentenceTransformer(str(folder), device=target, local_files_only=True, model_kwargs=options)


def load_encoder(settings: Settings) -> PreTrainedModel:
    """Only the transformer of the sentence-embedding model: last hidden states of shape (n, tokens, dim).

    Loads several seconds faster than `load_embedder`, because sentence-transformers is not imported.

    Raises:
        UserError: the model is not available or is damaged.
    """
    folder, target = weights.ensure(settings.embedder, settings), choose_device(settings.device)
    options = {"dtype": settings_for_batch(settings).dtype, **SAFE}
    use_threads(settings)
    with explain_load_errors(settings.embedder, folder):
        loaded: Any = quiet_transformers().AutoModel.from_pretrained(folder, **options)
        on_device: PreTrainedModel = loaded.to(target).eval()
    return on_device
