"""SmolLM2 by llama.cpp in this process (the `xllamacpp` wheel): the GGUF itself, four bits a weight.

    $ pip install .[llamacpp]
    >>> engine = LlamaCppEngine.load(weights.ensure("smollm2-135m-instruct"), load_settings())

It starts in half a second, without torch, and decodes faster than transformers; on Linux and Windows its
wheels are built without AVX-512 and AMX, so that a long prompt takes longer where the processor has those.

llama.cpp has its server inside: a slot that keeps the last prompt's KV cache, sampling, and llguidance. The
server also listens on a loopback port, which can't be switched off; a random key closes it. Given a
schema that it does not understand, it writes free text without a word: the backend checks what came.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Generator, Iterator, Sequence
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from shared import hardware
from shared.config import Settings
from shared.embedded.engine import Generation, StopStrings, room
from shared.embedded.grammar import lark_of
from shared.embedded.guide import circles
from shared.errors import UserError, reason
from shared.models import weights

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# Against circles, as in on_transformers.py; here it counts all tokens, those at the end of the prompt too.
PENALTY = {"repeat_penalty": 1.1, "repeat_last_n": 128}
NO_PENALTY = {"repeat_penalty": 1.0}
SHARE = 1024  # tokens of the cache for each of several sequences


class LlamaCppEngine:
    """A GGUF on llama.cpp, one sequence at a time unless loaded for more; further calls wait."""

    name = "llamacpp"
    calls_tools = False

    def __init__(self, server: Any, tokenizer: Tokenizer, context: int) -> None:
        self.context = context
        self._server, self._tokenizer = server, tokenizer

    @classmethod
    def load(cls, folder: Path, settings: Settings, parallel: int = 1) -> LlamaCppEngine:
        """The GGUF of a model's folder; `parallel` sequences are written at once, further ones wait.

        Raises:
            UserError: the wheel is missing, the model has no GGUF, or llama.cpp can't read it.
        """
        import json
        from importlib import import_module

        try:
            xllamacpp: Any = import_module("xllamacpp")  # it has no types
        except ImportError:
            raise UserError("engine llamacpp is not installed: pip install .[llamacpp]") from None
        from tokenizers import Tokenizer

        gguf = weights.gguf_of(folder)
        if gguf is None:
            raise UserError(f"{settings.model} has no GGUF for engine llamacpp: use engine transformers")
        context = int(json.loads((folder / "config.json").read_text())["max_position_embeddings"])
        params = xllamacpp.CommonParams()
        params.model.path = str(gguf)
        params.n_ctx, params.n_parallel = max(context, parallel * SHARE), parallel
        params.kv_unified = parallel > 1  # one cache for all, so that a single one may still fill its context
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads_of(settings)
        if settings.device == "cpu":
            params.n_gpu_layers = 0
        params.verbosity, params.warmup = -1, False
        params.ui = params.endpoint_slots = False
        params.api_keys = [secrets.token_urlsafe()]
        try:
            server = xllamacpp.Server(params)
            tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        except Exception as error:
            raise UserError(f"{settings.model} cannot be loaded from {gguf}: {reason(error)}") from None
        return cls(server, tokenizer, context)

    def encode(self, text: str) -> list[int]:
        """Ids without added ones; markers in the text are parsed."""
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def generate(
        self,
        prompt: list[int],
        max_tokens: int,
        *,
        stop: Sequence[str] = (),
        schema: dict[str, Any] | None = None,
        adapter: bool = False,  # noqa: ARG002 (nobody asks for it: `calls_tools` is false)
    ) -> Generation:
        """See `Engine.generate`. llama.cpp works ahead of whoever asks for the pieces."""
        space = room(prompt, self.context)
        request = {**PENALTY} if schema is None else {**NO_PENALTY, "grammar": lark_of(schema)}
        request |= {"prompt": list(prompt), "n_predict": min(max_tokens, space), "temperature": 0}
        full = space < max_tokens
        return Generation(partial(self._run, request, full, StopStrings(stop)))

    def _run(
        self, request: dict[str, Any], full: bool, stops: StopStrings, done: Generation
    ) -> Iterator[str]:
        pieces: list[str] = []
        chunks = self._chunks(request)
        try:
            for chunk in chunks:
                piece: str = chunk["choices"][0]["text"]
                finish: str | None = chunk["choices"][0]["finish_reason"]
                done.cached_tokens = chunk["timings"]["cache_n"]
                # the token that ends a text is counted there, not here
                done.output_tokens = chunk["timings"]["predicted_n"] - (finish == "stop")
                pieces += [piece] if piece else []
                if shown := stops.add(piece):
                    yield shown
                if stops.found:
                    done.stop_reason, done.stop_sequence = "stop_sequence", stops.found
                    return
                if finish == "length":
                    done.stop_reason = "model_context_window_exceeded" if full else "max_tokens"
                if finish or ("grammar" not in request and circles(pieces)):
                    break
            if rest := stops.rest():
                yield rest
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


def threads_of(settings: Settings) -> int:
    """As many as the settings say, or one for each core."""
    return hardware.cores() if settings.threads == "auto" else settings.threads
