import pytest
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from shared.validation import Problem, first_problem


class Stop(BaseModel):
    """A model inside the other one."""

    words: list[str] = []


class Request(BaseModel):
    """A model with each kind of problem."""

    model_config = ConfigDict(extra="forbid")

    n: int
    stop: Stop = Stop()

    @model_validator(mode="after")
    def _not_seven(self):
        if self.n == 7:
            raise ValueError("7 is taken")
        return self


@pytest.mark.parametrize(
    ("value", "line", "kind", "given"),
    [
        ({}, "n: Field required", "missing", {}),
        ({"n": 1, "m": 2}, "m: Extra inputs are not permitted", "extra_forbidden", 2),
        (
            {"n": 1, "stop": {"words": ["a", None]}},
            "stop.words.1: Input should be a valid string",
            "string_type",
            None,
        ),
        ({"n": 7}, "Value error, 7 is taken", "value_error", {"n": 7}),  # about the value as a whole
        (
            {"n": "x", "m": 1},
            "n: Input should be a valid integer, unable to parse string as an integer",
            "int_parsing",
            "x",
        ),
    ],
)
def test_the_first_problem_in_one_line(value, line, kind, given):
    with pytest.raises(ValidationError) as error:
        Request.model_validate(value)
    problem = first_problem(error.value)
    assert (str(problem), problem.kind, problem.given) == (line, kind, given)


def test_a_place_is_the_path_with_dots():
    assert Problem(("body", "messages", 0), "Field required", "missing", None).place == "body.messages.0"
    assert Problem((), "Field required", "missing", None).place == ""


def test_fastapis_errors_are_of_the_same_form():
    """They need not say what was given."""
    error = RequestValidationError([{"loc": ("body", 3), "msg": "JSON decode error", "type": "json_invalid"}])
    assert first_problem(error) == Problem(("body", 3), "JSON decode error", "json_invalid", None)
