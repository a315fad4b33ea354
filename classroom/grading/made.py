"""What a submission is asked to do, and its objects, which stay where they were made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from classroom.grading.callbacks import Log


@dataclass
class Made:
    """An object of the submission: over there with a number, or `here`; `reference` is the reference's.

    Names may be paths of attributes: `made.check("queue.count", 3)`.
    """

    of: Any  # the submission
    type: str
    id: int = 0
    here: Any = None
    reference: Any = None

    def call(self, method: str, /, *args: Any, **kwargs: Any) -> Any:
        """Call a method; the reference's object is called with the same, so that both stay alike."""
        self.of.unchecked = True
        request = Request("method", method, args, kwargs, self)
        got = self.of.ask(request)
        self.of.follow(request)
        return got

    def check(
        self,
        method: str,
        /,
        *args: Any,
        rel: float = 1e-6,
        abs: float = 1e-9,
        asked: Log | None = None,
        text: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Call a method of both, and compare."""
        request = Request("method", method, args, kwargs, self)
        return self.of.compare(request, How(rel, abs, asked, text))

    def get(self, name: str) -> Any:
        """An attribute."""
        self.of.unchecked = True
        return self.of.ask(Request("get", name, made=self))

    def check_get(self, name: str, rel: float = 1e-6, abs: float = 1e-9) -> Any:
        """An attribute of both, compared."""
        return self.of.compare(Request("get", name, made=self), How(rel, abs))

    def keep(self, method: str, /, *args: Any, **kwargs: Any) -> Made:
        """Call a method, and leave there what it gives."""
        return self.of.kept(Request("keep", method, args, kwargs, self))

    def part(self, name: str) -> Made:
        """An attribute, as an object."""
        return self.of.kept(Request("part", name, made=self))

    def check_step(self, cancel: bool = False) -> Any:
        """Go on with this coroutine, as an event loop would: what it waits for now (a Made), None
        where it is done, or the Raised that it ended with.

        Of both; what it returns or raises is compared. With `cancel`, its task was cancelled.
        """
        return self.of.compare(Request("step", "step", (cancel,), made=self), How())


@dataclass(frozen=True)
class Request:
    """What is to be done: `do` as in worker.py, the name of a function or attribute, and the object."""

    do: str
    what: str
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    made: Made | None = None


@dataclass(frozen=True)
class How:
    """How near floats have to be; whose calls are compared, too; and whether what an exception says is."""

    rel: float = 1e-6
    abs: float = 1e-9
    asked: Log | None = None
    text: bool = False
