"""The process with the model: reads requests from its standard input, answers on its standard output.

It ends when its input does, and that ends however the service ends: nothing has to be told, or cleaned up.
Signals are for the service, which lets its calls end first; whoever stops a container sends them to every
process.
"""

from __future__ import annotations

import contextlib
import gc
import json
import logging
import os
import signal
import sys
import threading
from typing import Any

from step5_serving.engines.process import protocol as words


class Speaking:
    """A backend's answers as lines."""

    def __init__(self, backend: Any, out: int) -> None:
        self._backend, self._out = backend, os.fdopen(out, "wb")
        self._writing, self._wanted = threading.Lock(), set[int]()

    def hear(self, line: bytes) -> None:
        """Begin what a line asks for."""
        number, verb, body = words.parsed(line)
        if verb == "stop":
            self._wanted.discard(number)
        else:
            self._wanted.add(number)
            # A thread that ends: what torch keeps for each that asked it ends with it.
            threading.Thread(target=self._do, args=(number, verb, body), daemon=True).start()

    def _do(self, number: int, verb: str, body: bytes) -> None:
        try:
            if verb == "ready":
                self._backend.warm_up()
                self._say(number, "said", {"result": True})
            elif verb == "count":
                self._say(number, "said", {"result": self._backend.count(json.loads(body))})
            else:
                self._answer(number, json.loads(body))
        except BrokenPipeError:  # the service has gone; so will this process, with its input
            pass
        except Exception as error:
            logging.getLogger(__name__).debug("a request failed", exc_info=error)
            with contextlib.suppress(BrokenPipeError):
                self._say(number, "failed", words.told(error))
        finally:
            self._wanted.discard(number)

    def _answer(self, number: int, body: dict[str, Any]) -> None:
        answer = self._backend.answer(body)
        calls = [{"name": each.name, "input": each.input} for each in answer.calls]
        with contextlib.closing(answer.text) as text:
            begun = {"input_tokens": answer.input_tokens, "calls": calls, "counts": words.counts_of(text)}
            self._say(number, "begun", begun)
            while number in self._wanted and (piece := next(text, None)) is not None:
                self._say(number, "piece", {"piece": piece, "counts": words.counts_of(text)})
        self._say(number, "end", {"counts": words.counts_of(text)})

    def _say(self, number: int, verb: str, body: dict[str, Any]) -> None:
        with self._writing:
            self._out.write(words.line(number, verb, body))
            self._out.flush()


def main() -> None:
    """Serve the requests of one service until it ends."""
    gc.set_threshold(100_000, 50, 100)  # as shared/cli.py does
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    logging.basicConfig(level=logging.ERROR, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    out = os.dup(1)
    os.dup2(2, 1)  # whatever else prints must not talk in between
    first = json.loads(sys.stdin.buffer.readline())
    speaking = Speaking(_backend(first), out)
    speaking.hear(words.line(words.LOADED, "ready"))  # at once, while the service loads
    for line in sys.stdin.buffer:
        speaking.hear(line)
    os._exit(0)  # whatever threads are doing: nobody waits for it


def _backend(first: dict[str, Any]) -> Any:
    from shared.config import Settings
    from step5_serving.engines.choice import Embedded, backend_of

    settings = Settings(**first["settings"])
    how = Embedded(rows=first["rows"], quantize=first["quantize"])
    return backend_of(first["name"], settings, how)


if __name__ == "__main__":
    main()
