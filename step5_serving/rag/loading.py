"""Index and model, opened when they are first asked for, and tried again where they could not be had.

opening = Opening(config, serving, calls)
opened = await opening.opened()      # a retriever, its gate, a client
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from shared.config import Settings
from shared.errors import UserError
from step5_serving.config import Config
from step5_serving.engines.choice import Engine
from step5_serving.errors import ApiError, unavailable
from step5_serving.rag.cancelling import ModelCalls
from step5_serving.rag.threads import in_passing

SILENT_S = 60.0  # without a byte from the model, while calls wait for it: it makes no progress
TRY_AGAIN = 2.0  # seconds between attempts to open what could not be opened
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
        self._opening = asyncio.Lock()
        self._opened: Opened | None = None
        self._trouble: tuple[float, str] | None = None  # when, and why it could not be opened

    @property
    def settings(self) -> Settings:
        return self.serving.settings

    async def opened(self) -> Opened:
        """Index and model, loaded when first asked for. What failed is tried again, but not all the time.

        Raises:
            ApiError: they can't be had.
        """
        if self._opened is not None:
            return self._opened
        async with self._opening:
            if self._opened is None:
                if self._trouble and time.monotonic() - self._trouble[0] < TRY_AGAIN:
                    raise unavailable(self._trouble[1], 2)
                try:
                    # One that is asked for does not begin anew because the one who asked first has left.
                    self._opened = await asyncio.shield(self._loading)
                    self._trouble = None
                except UserError as error:
                    self._trouble = time.monotonic(), str(error)
                    raise unavailable(str(error), 2) from None
                finally:
                    if self._opened is None and self._loading.done():
                        del self._loading
            return self._opened

    @cached_property
    def _loading(self) -> asyncio.Future[Opened]:
        return asyncio.ensure_future(in_passing(self._open))

    def _open(self) -> Opened:
        """Load everything, in a thread, and use it once: the first question shall not pay for it."""
        from shared.chat.errors import with_timeouts
        from step3_rag.service import open_service
        from step5_serving.rag.sharing import RWLock, SharedRetriever

        config = self.config
        service = open_service(self.settings, config.index, config.store, config.store_address)
        retriever = SharedRetriever.of(service)
        retriever.search(WARM_UP)
        # Not beside it, where the engine is in this process: transformers imports its parts when they are
        # first used, which two threads at once break, and loading in bf16 changes torch's default for all.
        self._warm_engine()
        timeout = max(1.0, config.timeout_s)
        client = with_timeouts(self.serving.client(), timeout).with_middleware(self._calls.middleware)
        return Opened(retriever, RWLock(), client)

    def _warm_engine(self) -> None:
        with contextlib.suppress(UserError):  # `ready` will say it, and every question
            self.serving.warm_up()

    async def ready(self) -> str | None:
        try:
            await self.opened()
        except ApiError as refusal:
            return refusal.message
        if (silence := self._calls.silence()) > SILENT_S:
            return f"the engine {self.serving.name} has sent nothing for {silence:.0f} s, though calls wait"
        checked = getattr(self, "_checked", None)
        if checked is None or time.monotonic() - checked[0] > TRY_AGAIN:
            trouble = await asyncio.to_thread(self._trouble_elsewhere)
            self._checked = checked = time.monotonic(), trouble
        return checked[1]

    def _trouble_elsewhere(self) -> str | None:
        """Why the servers and the process behind this one would not answer."""
        assert self._opened is not None
        try:
            if self.config.store_address:
                store = self._opened.retriever.store
                with store.explained():
                    store.count()
            if self.config.reader != "quote":
                return self.serving.trouble()
        except UserError as error:
            return str(error)
        return None
