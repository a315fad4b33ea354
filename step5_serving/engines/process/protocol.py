"""What the service and the model's process say to each other: a line each, on its standard input and output.

    service                            process
    {"name": "torch", "settings": ..., "rows": 16, ...}        the first line; from here on it loads
    7 answer {"messages": [...]}                               a request, by its number
                                       0 said {"result": true}     it has loaded
                                       7 begun {"input_tokens": 31, "calls": [], "counts": ...}
                                       7 piece {"piece": "The", "counts": ...}
    7 stop                                                     nobody waits for it any more
                                       7 end {"counts": ...}
    8 count {"messages": [...]}
                                       8 said {"result": 31}
    9 ready
                                       9 failed {"kind": "UserError", "message": ...}

Number and verb stand outside of the JSON: whatever is wrong with that, it is known whom to tell.
"""

from __future__ import annotations

import json
from typing import Any

from shared.embedded.engine import Generation
from shared.embedded.grammar import UnsupportedSchema
from shared.embedded.refuse import Refused
from shared.errors import UserError, reason

LOADED = 0  # the number under which the process says, unasked, that the model is there, or why not
COUNTS = ("output_tokens", "cached_tokens", "stop_reason", "stop_sequence")


def line(number: int, verb: str, body: Any = None) -> bytes:
    """A line of the conversation."""
    said = "" if body is None else f" {json.dumps(body)}"
    return f"{number} {verb}{said}\n".encode()


def parsed(line: bytes) -> tuple[int, str, bytes]:
    """Number, verb, and the JSON behind them."""
    number, _, rest = line.rstrip(b"\n").partition(b" ")
    verb, _, body = rest.partition(b" ")
    return int(number), verb.decode(), body


def counts_of(text: Generation) -> dict[str, Any]:
    """What is known of a text beside its pieces."""
    return {name: getattr(text, name) for name in COUNTS}


def note(counts: dict[str, Any], text: Generation) -> None:
    """Put what is known to another text."""
    for name in COUNTS:
        setattr(text, name, counts[name])


def told(error: BaseException) -> dict[str, Any]:
    """An error, for the other side."""
    for kind in (Refused, UserError, UnsupportedSchema, RecursionError):
        if isinstance(error, kind):
            more = {"status": error.status, "type": error.kind} if isinstance(error, Refused) else {}
            return {"kind": kind.__name__, "message": str(error), **more}
    return {"kind": "RuntimeError", "message": f"{type(error).__name__}: {reason(error)}"}


def error_of(told: dict[str, Any]) -> Exception:
    """The same error, on this side."""
    message = told["message"]
    if told["kind"] == "Refused":
        return Refused(message, told["status"], told["type"])
    kinds = {each.__name__: each for each in (UserError, UnsupportedSchema, RecursionError, RuntimeError)}
    return kinds[told["kind"]](message)
