"""Loads the index and the model when they are first needed, and again if that failed.

loader = Loader(config, engine, silence)
retriever = await loader.retriever()      # a SharedRetriever
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Any

from shared.errors import UserError
from step5_serving.config import Config
from step5_serving.engines.choice import Engine
from step5_serving.errors import ApiError, unavailable

SILENT_S = 60.0  # without a byte from the model, while calls wait for it: it is stuck
RETRY_S = 2.0  # seconds between attempts to load, and between two checks of the servers behind this one
WARM_UP = "What are the terms of renewal?"


def check_index(config: Config) -> None:
    """Raise UserError if an index was named and does not exist; other mistakes show when it is opened."""
    if config.index is not None and not (config.index / "index.sqlite").exists():
        raise UserError(
            f"no index in {config.index}: make one with "
            f"`python -m step3_rag ingest PATH --index {config.index}`"
        )


class Loader:
    """Loads what answers need, once."""

    def __init__(self, config: Config, engine: Engine, silence: Callable[[], float]) -> None:
        self.config, self.engine, self._silence = config, engine, silence
        self.client: Any = None  # of the engine, once it is loaded
        self._loading: asyncio.Future[Any] | None = None
        self._tried_at = self._checked_at = 0.0
        self._trouble: str | None = None  # at the last check of the servers behind this one

    async def retriever(self) -> Any:
        """The index's SharedRetriever, once the model is loaded, too; raises ApiError if that failed."""
        loading = self._loading
        failed = loading is not None and loading.done() and loading.exception() is not None
        if loading is None or (failed and time.monotonic() - self._tried_at > RETRY_S):
            self._loading = loading = asyncio.ensure_future(asyncio.to_thread(self._load))
        try:
            # Shielded: loading goes on when the caller that started it has left.
            return await asyncio.shield(loading)
        except UserError as error:
            raise unavailable(str(error), 2) from None

    def _load(self) -> Any:
        """Load everything, in a thread, and use it once, so that the first question is not slower."""
        from shared.chat.errors import with_timeouts
        from step3_rag.service import open_service
        from step5_serving.rag.sharing import SharedRetriever

        config, settings = self.config, self.engine.settings
        try:
            service = open_service(settings, config.index, config.store, config.store_address)
            retriever = SharedRetriever.of(service)
            retriever.search(WARM_UP)
            with contextlib.suppress(UserError):  # `ready` and each question will report it
                self.engine.warm_up()
            self.client = with_timeouts(self.engine.client(), max(1.0, config.timeout_s))
        finally:
            self._tried_at = time.monotonic()
        return retriever

    async def ready(self) -> str | None:
        """None, or what can't be opened, is stuck or does not answer."""
        try:
            retriever = await self.retriever()
        except ApiError as refusal:
            return refusal.message
        if (silence := self._silence()) > SILENT_S:
            return f"the engine {self.engine.name} has sent nothing for {silence:.0f} s, though calls wait"
        if time.monotonic() - self._checked_at > RETRY_S:
            self._checked_at = time.monotonic()
            self._trouble = await asyncio.to_thread(self._check_servers, retriever)
        return self._trouble

    def _check_servers(self, retriever: Any) -> str | None:
        """Why the vector store's server or the engine does not answer; None if both do."""
        try:
            if self.config.store_address:
                with retriever.store.one_line_errors():
                    retriever.store.count()
            return None if self.config.reader == "quote" else self.engine.trouble()
        except UserError as error:
            return str(error)
