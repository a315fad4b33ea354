"""What pydantic objects to, in one line.

>>> try:
...     Recipe.model_validate({"method": "sft", "sft": {"epochs": "many"}})
... except ValidationError as error:
...     print(first_problem(error))
sft.epochs: Input should be a valid number, unable to parse string as a number
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol


class HasErrors(Protocol):
    """pydantic's `ValidationError`, or FastAPI's `RequestValidationError`, which is no kind of it."""

    def errors(self) -> Sequence[Any]:
        """A dict {loc, msg, type, input} for each problem."""
        ...


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a value."""

    path: tuple[str | int, ...]  # ("messages", 0, "role"); empty if it is about the value as a whole
    message: str  # pydantic's words: "Field required"
    kind: str  # pydantic's name for it: missing, extra_forbidden, value_error, json_invalid, ...
    given: Any  # the value at `path`; for a missing field, the object around it

    @property
    def place(self) -> str:
        """The path as text: messages.0.role."""
        return ".".join(str(part) for part in self.path)

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" if self.path else self.message


def first_problem(error: HasErrors) -> Problem:
    """The first of the error's problems."""
    first = error.errors()[0]
    return Problem(path=first["loc"], message=first["msg"], kind=first["type"], given=first.get("input"))
