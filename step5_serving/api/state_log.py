"""The operator's log of what broke and what works again: a line for each change, not for each call.

>>> states = StateLog()
>>> states.tell("model", "the process of the model ended")     # logged
>>> states.tell("model", "the process of the model ended")     # not again
>>> states.tell("model", None)                                 # logged: it works again
"""

from __future__ import annotations

import logging

log = logging.getLogger(__name__)


class StateLog:
    """Which parts (keys, model, telemetry, documents) are in trouble."""

    def __init__(self) -> None:
        self._troubled: set[str] = set()

    def tell(self, part: str, trouble: str | None) -> None:
        """What was seen of a part now: None where it works."""
        if trouble is not None and part not in self._troubled:
            self._troubled.add(part)
            log.warning("%s: %s", part, trouble)
        elif trouble is None and part in self._troubled:
            self._troubled.discard(part)
            log.warning("%s: works again", part)
