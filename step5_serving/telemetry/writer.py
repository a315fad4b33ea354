"""The group commit: one thread writes what waits in one transaction, then wakes all who waited for it.

    recorder = Recorder.from_url("sqlite:///telemetry.db")
    await recorder.record(call, prompt_text)      # returns when the row is safe; only then send the reply
    await recorder.close()                        # at shutdown: writes what still waits
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from step5_serving.telemetry.call import Call

if TYPE_CHECKING:
    from step5_serving.telemetry.store import Store


class Recorder:
    """Writes calls; `store` reads them back (in a thread: it blocks)."""

    store: Store

    @classmethod
    def from_url(cls, url: str, *, redact: bool = False, synchronous: str = "normal") -> Recorder:
        """Open (and make, where it is new) the database: sqlite:///FILE or postgresql+psycopg://HOST/NAME.

        Args:
            redact: take personal data out of questions and answers before they are written (redact.py).
            synchronous: SQLite only: normal survives the death of the process, full also a power cut.

        Raises:
            UserError: the URL is none, its driver is missing, or the file is another program's.
        """
        raise NotImplementedError

    async def record(self, call: Call, prompt_text: str | None = None) -> None:
        """Write one row; returns after the commit. Never blocks the event loop.

        Raises:
            TelemetryDown: it could not be written (disk full, locked, gone). The next call tries anew.
        """
        raise NotImplementedError

    async def ready(self) -> str | None:
        """None when the database answers, or why not: for /readyz."""
        raise NotImplementedError

    async def close(self) -> None:
        """Write what waits, then close. No `record` after it."""
        raise NotImplementedError
