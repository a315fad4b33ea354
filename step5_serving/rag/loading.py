"""Index and model, opened when they are first asked for, and tried again where they could not be had.

opening = Opening(config, serving, calls)
opened = await opening.opened()      # a retriever, its gate, a client
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.config import Settings
from shared.errors import UserError
from step5_serving.config import Config
from step5_serving.engines.choice import Engine
from step5_serving.errors import ApiError, unavailable
from step5_serving.rag.cancelling import ModelCalls

SILENT_S = 60.0  # without a byte from the model, while calls wait for it: it makes no progress
TRY_AGAIN = 2.0  # seconds between attempts to open what could not be opened, and between two looks
WARM_UP = "What are the terms of renewal?"


def prompts_folder() -> Path:
    """Step 3's prompts. Found without an import of step 3, which takes its time."""
    import step3_rag

    return Path(step3_rag.__file__).with_name("prompts")


def check_index(config: Config) -> None:
    """Look whether there is an index where one was named; the rest shows when it is opened.

    Raises:
        UserError: there is none.
    """
    if config.index is not None and not (config.index / "index.sqlite").exists():
        raise UserError(
            f"no index in {config.index}: make one with "
            f"`python -m step3_rag ingest PATH --index {config.index}`"
        )


@dataclass
class Opened:
    """What an answer needs, loaded."""

    retriever: Any  # SharedRetriever
    gate: Any  # RWLock
    client: Any  # anthropic.Anthropic


class Opening:
    """What answers need, loaded once."""

    def __init__(self, config: Config, serving: Engine, calls: ModelCalls) -> None:
        self.config, self.serving, self._calls = config, serving, calls
        self._loading: asyncio.Future[Opened] | None = None
        self._failed = 0.0  # when it could not be opened
        self._looked = 0.0  # when a look was taken at the servers behind this one
        self._trouble: str | None = None  # what was wrong then

    @property
    def settings(self) -> Settings:
        return self.serving.settings

    async def opened(self) -> Opened:
        """Index and model, loaded when first asked for. What failed is tried again, but not all the time.

        Raises:
            ApiError: they can't be had.
        """
        loading = self._loading
        failed = loading is not None and loading.done() and loading.exception() is not None
        if loading is None or (failed and time.monotonic() - self._failed > TRY_AGAIN):
            self._loading = loading = asyncio.ensure_future(asyncio.to_thread(self._open))
        try:
            # It does not end, or begin anew, because the one who asked first has left.
            return await asyncio.shield(loading)
        except UserError as error:
            raise unavailable(str(error), 2) from None

    def _open(self) -> Opened:
        """Load everything, in a thread, and use it once: the first question shall not pay for it."""
        from shared.chat.errors import with_timeouts
        from step3_rag.service import open_service
        from step5_serving.rag.sharing import RWLock, SharedRetriever

        config = self.config
        try:
            service = open_service(self.settings, config.index, config.store, config.store_address)
            retriever = SharedRetriever.of(service)
            retriever.search(WARM_UP)
            with contextlib.suppress(UserError):  # `ready` will say it, and every question
                self.serving.warm_up()
            client = with_timeouts(self.serving.client(), max(1.0, config.timeout_s))
        finally:
            self._failed = time.monotonic()
        return Opened(retriever, RWLock(), client)

    async def ready(self) -> str | None:
        """None, or what can't be had or makes no progress."""
        try:
            opened = await self.opened()
        except ApiError as refusal:
            return refusal.message
        if (silence := self._calls.silence()) > SILENT_S:
            return f"the engine {self.serving.name} has sent nothing for {silence:.0f} s, though calls wait"
        if time.monotonic() - self._looked > TRY_AGAIN:
            self._looked = time.monotonic()
            self._trouble = await asyncio.to_thread(self._trouble_elsewhere, opened)
        return self._trouble

    def _trouble_elsewhere(self, opened: Opened) -> str | None:
        """Why the servers and the process behind this one would not answer."""
        try:
            if self.config.store_address:
                store = opened.retriever.store
                with store.one_line_errors():
                    store.count()
            return None if self.config.reader == "quote" else self.serving.trouble()
        except UserError as error:
            return str(error)
