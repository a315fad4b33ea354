"""A model's GGUF, with four bits per weight, on llama.cpp's own server in this process (`xllamacpp`).

    $ pip install .[llamacpp]
    $ python -m step5_serving.engines --engine llamacpp --port 8001

It speaks the Messages API, starts without torch, and decodes faster than transformers. Its wheels for Linux
and Windows don't use AVX-512 and AMX, so prefill of a long prompt is slow on processors that have them.
A page in this machine's browser could reach it, so requests need a key: the one in ROADMAP_BASE_URL_KEY.
"""

import json
from importlib import import_module
from typing import Any

from shared import hardware
from shared.config import Settings
from shared.embedded.decoding import PENALTY, WINDOW
from shared.errors import UserError, reason
from shared.models import weights

TOKENS_PER_ROW = 1024  # of the cache, where several sequences share it


def serve_gguf(settings: Settings, port: int, rows: int) -> Any:
    """Load the GGUF of the settings' model and serve it in the background, `rows` sequences at once.

    Raises:
        UserError: the model has no GGUF, or llama.cpp can't read it.
    """
    xllamacpp: Any = import_module("xllamacpp")  # it has no types
    folder = weights.ensure(settings.model, settings)
    gguf = weights.gguf_of(folder)
    if gguf is None:
        raise UserError(f"{settings.model} has no GGUF for engine llamacpp: use engine torch")
    context = int(json.loads((folder / "config.json").read_text())["max_position_embeddings"])
    params = xllamacpp.CommonParams()
    params.model.path = str(gguf)
    params.model_alias = {settings.model}
    params.hostnames = ["127.0.0.1"]
    params.port = port
    params.n_parallel = rows
    params.n_ctx = max(context, rows * TOKENS_PER_ROW)
    params.kv_unified = rows > 1  # one cache for all: a single sequence may still fill its context
    threads = hardware.cores() if settings.threads == "auto" else settings.threads
    params.cpuparams.n_threads = threads
    params.cpuparams_batch.n_threads = threads
    if settings.device == "cpu":
        params.n_gpu_layers = 0
    # Greedy, with the repetition penalty of our own engines; here it is on all tokens.
    params.sampling.temp = 0.0
    params.sampling.penalty_repeat = PENALTY
    params.sampling.penalty_last_n = WINDOW
    params.verbosity = -1
    params.warmup = False
    params.ui = False
    params.endpoint_slots = False
    if settings.base_url_key:
        params.api_keys = [settings.base_url_key.get_secret_value()]
    try:
        return xllamacpp.Server(params)
    except Exception as error:
        raise UserError(f"{settings.model} cannot be loaded from {gguf}: {reason(error)}") from None
