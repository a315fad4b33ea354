"""The process that holds a submission: imports it, calls it when asked to, and knows no answer.

    python -I -S classroom/protocol/worker.py TREE SITE-PACKAGES...

Started by the grader inside a sandbox. Requests and replies are lines of JSON over the original stdin and
stdout; the submission gets other ones, and its output goes to stderr. It can still reach the pipes, as it can
reach everything in its process. So the grader trusts no reply, and never sends an expected value here.

    {"id": "7f..", "do": "call", "what": "step3_rag.retrieve.fuse:rrf", "args": [...], "kwargs": {...}}
    {"id": "7f..", "value": {"$": "dict", ...}}       or "raised": {...}, or "unsendable": "..."
    {"id": "7f..", "callback": 3, "ask": 1, "args": [...]}     asks the grader's function 3
    {"ask": 1, "value": ...}                                   its answer; several may be waited for
"""

import contextlib
import importlib
import os
import sys
import threading
import traceback
from typing import Any

if __name__ == "__main__":
    sys.dont_write_bytecode = True
    sys.path += sys.argv[1:]  # the standard library stays in front: nothing in the tree shadows it

from classroom.protocol import wire


class Worker:
    """The two pipes, the objects that were made, and the answers that have come."""

    def __init__(self, requests: Any, replies: Any) -> None:
        self._requests, self._replies = requests, replies
        self._objects: dict[int, Any] = {}
        self._now = ""  # the id of the present request, or nothing
        self._one_at_a_time = threading.RLock()  # a submission's threads may all call back
        self._asked = 0
        self._came: dict[int, Any] = {}  # answers by number; 0 is the next request
        self._news = threading.Condition()
        self._reading = False  # whether some thread reads for all

    def serve(self) -> None:
        """Answer requests until there are no more."""
        while request := self._awaited(0):
            self._now = request["id"]
            reply = self._reply(request)
            with self._one_at_a_time:
                self._now = ""
                self._send({"id": request["id"], **reply})

    def _awaited(self, ask: int) -> Any:
        """The answer with this number; one waiting thread reads for all. None: there is nothing more."""
        with self._news:
            while ask not in self._came:
                if self._reading:
                    self._news.wait()
                    continue
                self._reading = True
                self._news.release()
                try:
                    line = self._requests.readline()
                finally:
                    self._news.acquire()
                    self._reading = False
                told = wire.from_line(line) if line else None
                self._came[told.get("ask", 0) if told else 0] = told
                self._news.notify_all()
                if not told:
                    return None
            return self._came.pop(ask)

    def _reply(self, request: dict[str, Any]) -> dict[str, Any]:
        try:
            value = self._do(request)
            keep = self._keep
            if request["do"] in ("make", "part"):
                return {"value": {"$": "object", "id": keep(value), "type": wire.name_of(type(value))}}
            encoded = wire.encode(value, keep)
            wire.to_line({"id": request["id"], "value": encoded})  # raises Unsendable if it is too large
            return {"value": encoded}
        except wire.Unsendable as error:
            return {"unsendable": str(error)}
        except BaseException as error:  # also SystemExit and KeyboardInterrupt
            return {"raised": _described(error)}

    def _do(self, request: dict[str, Any]) -> Any:
        args = [self._rebuilt(each) for each in request.get("args", [])]
        kwargs = {name: self._rebuilt(each) for name, each in request.get("kwargs", {}).items()}
        do, what = request["do"], request["what"]
        if do == "import":
            return importlib.import_module(what) and None
        number = request.get("object")
        found = wire.reach(self._objects[number], what) if number else wire.find(what)
        return found if do in ("get", "part") else found(*args, **kwargs)

    def _keep(self, value: Any) -> int:
        number = len(self._objects) + 1
        self._objects[number] = value
        return number

    def _rebuilt(self, encoded: Any) -> Any:
        """A value from the grader, in the submission's own types."""
        return wire.build(encoded, self._made)

    def _made(self, encoded: dict[str, Any]) -> Any:
        """An object, a function or a record. The grader is trusted, so names are imported."""
        if encoded["$"] == "object":
            return self._objects[encoded["id"]]
        if encoded["$"] == "callback":
            return self._callback(encoded["id"])
        return wire.rebuilt(wire.find(encoded["type"]), encoded["v"])

    def _callback(self, number: int) -> Any:
        """A function that the grader runs."""

        def call(*args: Any, **kwargs: Any) -> Any:
            encoded = [wire.encode(each, self._keep) for each in args]
            named = {name: wire.encode(each, self._keep) for name, each in kwargs.items()}
            with self._one_at_a_time:
                if not self._now:
                    raise RuntimeError("the call that this function was given to is over")
                self._asked = ask = self._asked + 1
                told = {"id": self._now, "callback": number, "ask": ask, "args": encoded, "kwargs": named}
                self._send(told)
            reply = self._awaited(ask)
            if "raised" in reply:
                raise _raised(reply["raised"]["type"], self._rebuilt(reply["raised"]["args"]))
            return self._rebuilt(reply["value"])

        return call

    def _send(self, message: dict[str, Any]) -> None:
        self._replies.write(wire.to_line(message))
        self._replies.flush()


def _raised(kind: str, args: list[Any]) -> BaseException:
    """The exception of a function of the grader. Its class may be unknown here, or need other arguments."""
    try:
        return wire.find(kind)(*args)
    except Exception:
        return RuntimeError(": ".join([kind.rpartition(":")[2], *map(str, args)]))


def _described(error: BaseException) -> dict[str, Any]:
    """An exception as text; a submission's `__str__` may do anything, so its errors are ignored."""
    text, place = "", ""
    with contextlib.suppress(BaseException):
        text = str(error)[:2000]
    with contextlib.suppress(BaseException):
        for frame, line in traceback.walk_tb(error.__traceback__):
            file = frame.f_code.co_filename
            if "classroom/protocol/" not in file and not file.startswith("<"):
                place = f"{os.path.basename(file)}:{line}"  # noqa: PTH119  (nothing imported late)
    if isinstance(error, SyntaxError):
        with contextlib.suppress(BaseException):
            place = f"{os.path.basename(str(error.filename))}:{error.lineno}"  # noqa: PTH119
    kinds = [kind.__name__ for kind in type(error).__mro__ if kind is not object]
    return {"type": kinds[0], "kinds": kinds, "text": text, "place": place}


def main() -> None:
    """Move the pipes to other descriptors, then serve."""
    sys.argv = ["submission"]
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(2, 1)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  (it may be killed at any moment)
    Worker(requests, replies).serve()


if __name__ == "__main__":
    main()
    os._exit(0)  # without the submission's exit handlers
