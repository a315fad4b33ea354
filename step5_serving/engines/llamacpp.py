"""SmolLM2 by llama.cpp in this process (the `xllamacpp` wheel): the GGUF itself, four bits a weight.

    $ pip install .[llamacpp]
    >>> engine = LlamaCppEngine.load(weights.ensure("smollm2-135m-instruct"), load_settings())

It starts without torch, and decodes faster than transformers. On Linux and Windows its wheels are built
without AVX-512 and AMX, so a long prompt takes longer where the processor has those.

llama.cpp has its server inside: a slot that keeps the last prompt's KV cache, and sampling. The server also
listens on a loopback port, which can't be switched off; a random key closes it.
"""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Generator
from functools import partial
from importlib import import_module
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from shared import hardware, models
from shared.config import Settings
from shared.embedded.engine import Engine, Generation
from shared.embedded.guide import circles
from shared.embedded.wire import Refused
from shared.errors import UserError, reason
from shared.models import weights

# Against circles, as in on_transformers.py; here it counts all tokens, those at the end of the prompt too.
PENALTY = {"repeat_penalty": 1.1, "repeat_last_n": 128}
SHARE = 1024  # tokens of the cache for each of several sequences


class LlamaCppEngine(Engine):
    """A GGUF on llama.cpp, one sequence at a time unless loaded for more; further calls wait."""

    def __init__(self, server: Any, tokenizer: Any, context: int) -> None:
        self.context, self.tokenizer = context, tokenizer
        self._server = server

    @classmethod
    def load(cls, folder: Path, settings: Settings, parallel: int = 1) -> LlamaCppEngine:
        """The GGUF of a model's folder; `parallel` sequences are written at once, further ones wait.

        Raises:
            UserError: the wheel is missing, the model has no GGUF, or llama.cpp can't read it.
        """
        try:
            xllamacpp: Any = import_module("xllamacpp")  # it has no types
        except ImportError:
            raise UserError("engine llamacpp is not installed: pip install .[llamacpp]") from None
        gguf = weights.gguf_of(folder)
        if gguf is None:
            raise UserError(f"{settings.model} has no GGUF for engine llamacpp: use engine torch")
        context = int(json.loads((folder / "config.json").read_text())["max_position_embeddings"])
        threads = hardware.cores() if settings.threads == "auto" else settings.threads
        params = xllamacpp.CommonParams()
        params.model.path = str(gguf)
        params.n_ctx, params.n_parallel = max(context, parallel * SHARE), parallel
        params.kv_unified = parallel > 1  # one cache for all, so that a single one may still fill its context
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
        if settings.device == "cpu":
            params.n_gpu_layers = 0
        params.verbosity, params.warmup = -1, False
        params.ui = params.endpoint_slots = False
        params.api_keys = [secrets.token_urlsafe()]
        try:
            server = xllamacpp.Server(params)
        except Exception as error:
            raise UserError(f"{settings.model} cannot be loaded from {gguf}: {reason(error)}") from None
        return cls(server, models.load_tokenizer(settings=settings), context)

    def generate(
        self,
        prompt: list[int],
        max_tokens: int,
        *,
        schema: dict[str, Any] | None = None,
        adapter: bool = False,
    ) -> Generation:
        """See `Engine.generate`: plain text only. llama.cpp works ahead of whoever asks for the pieces.

        Raises:
            Refused: a schema, or tools.
        """
        if schema is not None or adapter:
            raise Refused("engine llamacpp takes no tools and no output_config: use engine torch, or Claude")
        space = self.context - len(prompt)
        request = {**PENALTY, "prompt": prompt, "n_predict": min(max_tokens, space), "temperature": 0}
        return Generation(partial(self._run, request, space < max_tokens))

    def _run(self, request: dict[str, Any], full: bool, done: Generation) -> Generator[str]:
        pieces: list[str] = []
        chunks = self._chunks(request)
        try:
            for chunk in chunks:
                piece: str = chunk["choices"][0]["text"]
                finish: str | None = chunk["choices"][0]["finish_reason"]
                done.cached_tokens = chunk["timings"]["cache_n"]
                # the token that ends a text is counted there, not here
                done.output_tokens = chunk["timings"]["predicted_n"] - (finish == "stop")
                if piece:
                    pieces.append(piece)
                    yield piece
                if finish == "length":
                    done.stop_reason = "model_context_window_exceeded" if full else "max_tokens"
                if finish or circles(pieces):
                    break
        finally:
            chunks.close()

    def _chunks(self, request: dict[str, Any]) -> Generator[dict[str, Any]]:
        """The server's chunks as they come. It pushes them, from a thread of ours, until told to stop."""
        arrived: SimpleQueue[dict[str, Any] | BaseException | None] = SimpleQueue()
        stopped = threading.Event()

        def receive(chunk: dict[str, Any]) -> bool:
            arrived.put(chunk)
            return stopped.is_set()

        def work() -> None:
            try:
                options = {"stream": True, "timings_per_token": True, "cache_prompt": True}
                self._server.handle_completions({**request, **options}, receive)
                arrived.put(None)
            except BaseException as error:  # it belongs to whoever reads the chunks
                arrived.put(error)

        worker = threading.Thread(target=work, daemon=True)
        worker.start()
        try:
            while (chunk := arrived.get()) is not None:
                if isinstance(chunk, BaseException):
                    raise chunk
                if "error" in chunk:
                    raise RuntimeError(f"llama.cpp: {chunk['error']['message']}")
                yield chunk
        finally:
            stopped.set()
            worker.join()
