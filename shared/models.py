"""The loaders: a name goes in, the field's own object comes out (a transformers model, an SDK client).

    >>> tokenizer, model = load_tokenizer("tiny"), load_causal_lm("tiny")
    >>> model.generate(**tokenizer("Hello", return_tensors="pt"), max_new_tokens=5).shape
    torch.Size([1, 10])

Only safetensors are read and no code of a model repository is run (`trust_remote_code` stays off).
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared import hardware, weights
from shared.catalog import lookup
from shared.config import Settings, load_settings
from shared.errors import UserError, loading
from shared.quiet import quiet_transformers

if TYPE_CHECKING:
    import anthropic
    import torch
    from sentence_transformers import SentenceTransformer
    from transformers import PreTrainedModel, PreTrainedTokenizerFast


def load_tokenizer(model: str | None = None, settings: Settings | None = None) -> PreTrainedTokenizerFast:
    """The model's own tokenizer, with its chat template.

    Raises:
        UserError: the model can't be had, or its folder has no tokenizer.
    """
    settings = settings or load_settings(model=model)
    name = model or settings.model
    folder = weights.ensure(name, settings)
    with loading(f"the tokenizer of {name}", folder):
        transformers = quiet_transformers()
        # The classes of all models, which AutoTokenizer looks through, take a second to import.
        kind: Any = transformers.PreTrainedTokenizerFast if is_plain(folder) else transformers.AutoTokenizer
        tokenizer: PreTrainedTokenizerFast = kind.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    return tokenizer


def is_plain(folder: Path) -> bool:
    """Whether tokenizer.json is taken as it is: AutoTokenizer would choose the class that does that."""
    file = folder / "tokenizer_config.json"
    if not file.is_file() or not (folder / "tokenizer.json").is_file():
        return False
    named = json.loads(file.read_text(encoding="utf-8")).get("tokenizer_class")
    return named in ("TokenizersBackend", "PreTrainedTokenizerFast")


def load_causal_lm(
    model: str | None = None,
    device: str | None = None,
    dtype: str | None = None,
    settings: Settings | None = None,
    **kwargs: Any,
) -> PreTrainedModel:
    """A transformers causal LM in eval mode, on the device and in the dtype of the settings.

    Also sets torch's thread count from `settings.threads`. `kwargs` go to `from_pretrained`, e.g.
    `attn_implementation="eager"` to see attention weights.

    Raises:
        UserError: the model can't be had, is damaged, or predicts no tokens.
    """
    settings = settings or load_settings(model=model, device=device, dtype=dtype)
    name = model or settings.model
    check_causal(name)
    folder = weights.ensure(name, settings)
    use_threads(settings)
    target = choose_device(device or settings.device)
    with loading(name, folder):
        loaded: Any
        loaded, report = quiet_transformers().AutoModelForCausalLM.from_pretrained(
            folder,
            output_loading_info=True,
            dtype=choose_dtype(dtype or settings.dtype, target),
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            **kwargs,
        )
        if report["missing_keys"]:  # transformers would fill them with random numbers
            raise ValueError(
                f"the weights lack {len(report['missing_keys'])} tensors that its config.json names"
            )
        on_device: PreTrainedModel = loaded.to(target).eval()
    return on_device


def check_causal(name: str) -> None:
    """Refuse a model that is known to write no text.

    Raises:
        UserError: it is an embedding model.
    """
    if lookup(name).roles == ("embedding",):
        raise UserError(f"{name} is an embedding model: it predicts no tokens; choose a causal one")


def load_embedder(model: str | None = None, settings: Settings | None = None) -> SentenceTransformer:
    """A sentence-transformers model: `encode(texts)` gives vectors of shape (n, dim).

    Raises:
        UserError: the model can't be had or is damaged.
    """
    settings = settings or load_settings(embedder=model)
    name = model or settings.embedder
    folder = weights.ensure(name, settings)
    use_threads(settings)
    target = choose_device(settings.device)
    quiet_transformers()
    from sentence_transformers import SentenceTransformer

    with loading(name, folder):
        return SentenceTransformer(
            str(folder),
            device=target,
            local_files_only=True,
            trust_remote_code=False,
            model_kwargs={"dtype": choose_dtype(settings.dtype, target), "use_safetensors": True},
        )


def load_encoder(model: str | None = None, settings: Settings | None = None) -> PreTrainedModel:
    """The transformer of a sentence-embedding model alone: last hidden states of shape (n, tokens, dim).

    Several seconds quicker to come than `load_embedder`, whose library it doesn't import.

    Raises:
        UserError: the model can't be had or is damaged.
    """
    settings = settings or load_settings(embedder=model)
    name = model or settings.embedder
    folder = weights.ensure(name, settings)
    use_threads(settings)
    target = choose_device(settings.device)
    with loading(name, folder):
        loaded: Any = quiet_transformers().AutoModel.from_pretrained(
            folder,
            dtype=dtype_for_products(settings.dtype, target),
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
        )
        on_device: PreTrainedModel = loaded.to(target).eval()
    return on_device


# --- the chat client ----------------------------------------------------------------------------------


def chat_client(model: str | None = None, settings: Settings | None = None) -> anthropic.Anthropic:
    """An Anthropic SDK client for the model: Claude itself, any server that speaks its Messages API, or the
    model embedded in this process (no server, no key; it is loaded when the first question comes).

    Your Anthropic key goes to Anthropic only; a server of your own gets `base_url_key`.

    Raises:
        UserError: Claude without a key, or a model that can't chat.
    """
    settings = _for_chat(model, settings)
    import anthropic
    import httpx2

    if not _is_embedded(settings):
        return anthropic.Anthropic(base_url=settings.base_url, api_key=_key(settings))
    from shared.local.transport import LocalTransport

    http = httpx2.Client(transport=LocalTransport(settings), trust_env=False)
    return anthropic.Anthropic(http_client=http, **EMBEDDED)


def async_chat_client(model: str | None = None, settings: Settings | None = None) -> anthropic.AsyncAnthropic:
    """The same as `chat_client`, for `await`.

    Raises:
        UserError: as there.
    """
    settings = _for_chat(model, settings)
    import anthropic
    import httpx2

    if not _is_embedded(settings):
        return anthropic.AsyncAnthropic(base_url=settings.base_url, api_key=_key(settings))
    from shared.local.transport import LocalTransport

    http = httpx2.AsyncClient(transport=LocalTransport(settings), trust_env=False)
    return anthropic.AsyncAnthropic(http_client=http, **EMBEDDED)


# No key, and an address that leads nowhere (RFC 6761): even without its transport nothing could be sent.
EMBEDDED: Any = {"api_key": "not-needed", "base_url": "http://embedded.invalid", "max_retries": 0}


def _for_chat(model: str | None, settings: Settings | None) -> Settings:
    """The settings with the model that was asked for."""
    settings = settings or load_settings(model=model)
    return settings.model_copy(update={"model": model}) if model else settings


def _is_embedded(settings: Settings) -> bool:
    return not settings.base_url and not lookup(settings.model).is_claude


def _key(settings: Settings) -> str:
    """For the server that is asked.

    Raises:
        UserError: there is none, and Claude needs one.
    """
    key = settings.base_url_key if settings.base_url else settings.anthropic_api_key
    if key is None and not settings.base_url:
        raise UserError(
            f"{settings.model} needs a key: set ANTHROPIC_API_KEY, or choose a local model (--model)"
        )
    return key.get_secret_value() if key else "not-needed"


# --- where and how it runs ----------------------------------------------------------------------------


def choose_device(wanted: str = "auto") -> str:
    """`auto` takes a GPU when there is one.

    Raises:
        UserError: the wanted device is not on this machine.
    """
    import torch

    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if wanted == "auto":
        return "cuda" if there["cuda"] else "mps" if there["mps"] else "cpu"
    if not there[wanted]:
        raise UserError(
            f"device {wanted} is not on this machine: use {', '.join(d for d in there if there[d])} or auto"
        )
    return wanted


def choose_dtype(wanted: str = "auto", device: str = "cpu") -> torch.dtype:
    """`auto`: bfloat16 where the hardware multiplies it, float32 elsewhere."""
    import torch

    if wanted != "auto":
        chosen: torch.dtype = getattr(torch, wanted)
        return chosen
    fast = (
        torch.cuda.is_bf16_supported() if device == "cuda" else device == "cpu" and hardware.has_fast_bf16()
    )
    return torch.bfloat16 if fast else torch.float32


def dtype_for_products(wanted: str = "auto", device: str = "cpu") -> torch.dtype:
    """As `choose_dtype`, for work that is all products of large matrices: embedding, training.

    Writing token by token waits for the weights to come from memory, and half as many bytes come sooner on
    any processor that knows bfloat16; large products wait for the arithmetic.
    """
    if wanted == "auto" and device == "cpu" and hardware.has_fast_bf16() and not hardware.bf16_is_faster():
        wanted = "float32"
    return choose_dtype(wanted, device)


def for_products(settings: Settings) -> Settings:
    """The settings with the number format that `dtype_for_products` finds for their device."""
    dtype = dtype_for_products(settings.dtype, choose_device(settings.device))
    return settings.model_copy(update={"dtype": str(dtype).removeprefix("torch.")})


def use_threads(settings: Settings) -> int:
    """Set and return torch's thread count: that of the settings, or as many as `free_threads` finds."""
    import torch

    torch.set_num_threads(free_threads() if settings.threads == "auto" else settings.threads)
    return torch.get_num_threads()


@cache
def free_threads() -> int:
    """Torch's default while enough cores are idle, and what is idle otherwise.

    Threads that spin on a core that somebody else uses are slower than one thread alone (a tenth of the
    speed was seen). Looked at once, before this process loads the cores itself.
    """
    import torch

    return hardware.free_cores(min(torch.get_num_threads(), hardware.cores()))
