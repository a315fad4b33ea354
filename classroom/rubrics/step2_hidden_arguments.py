"""Step 2, what learners don't see: the arguments of a tool."""

import pytest

from classroom.rubrics.step2_scenes import DRIVER, arguments

# --- 2.4 --------------------------------------------------------------------------------------------------


@pytest.mark.rubric("2.4", points=4)
def test_arguments_are_strict(submission, draw):
    """A number in a text is not a number, true is not 1, 2.0 is not a whole number; 3 may stand for 3.0."""
    for _ in range(3):
        name, word, *names = draw.words(6)
        n = draw.randint(2, 99)
        fits = {"int": [n, -n], "float": [n, -n, n / 4], "bool": [True, False], "str": [word, str(n)]}
        others = {
            "int": [str(n), float(n), True, None],
            "float": [str(n), f"{n / 4}", False, None],
            "bool": ["true", 1, 0, None],
            "str": [n, None, [word], True],
        }
        types = dict(zip(names, draw.sample(list(fits), 4), strict=True))
        source = f"def {name}({', '.join(f'{each}: {types[each]}' for each in names)}) -> str: ..."
        inputs = [
            {each: draw.choice((others if draw.random() < share else fits)[types[each]]) for each in names}
            for share in (0.2, 0.5, 0.5, 0.8, 0.0, 1.0)
        ]
        arguments(submission, source, name, draw.sample(inputs, 6))


@pytest.mark.rubric("2.4", points=2)
def test_arguments_with_limits(submission, draw):
    """Hints of `Literal` and `Annotated` allow what they say and nothing else."""
    for _ in range(3):
        name, a, b, c, *values = draw.words(7)
        low, longest = draw.randint(1, 50), draw.randint(5, 9)
        source = (
            f"def {name}({a}: Literal{values[:2]!r}, {b}: Annotated[int, Field(ge={low})] = {low},"
            f" {c}: Annotated[str, Field(max_length={longest})] | None = None) -> str: ..."
        )
        inputs = [
            {
                a: draw.choice([*values[:2], *values[:2], values[2], values[0].upper()]),
                b: low + draw.choice([-1, 0, 1]),
                c: draw.choice([None, "x" * longest, "x" * (longest + 1)]),
            }
            for _ in range(4)
        ]
        arguments(submission, source, name, [*inputs, {a: draw.choice(values)}])


@pytest.mark.rubric("2.4", points=2)
def test_arguments_that_json_does_not_have(submission, draw):
    """NaN and the infinities are no numbers, also within a list."""
    for _ in range(3):
        name, a, b = draw.words(3)
        source = f"def {name}({a}: float, {b}: list[float] | None = None) -> str: ..."
        bad = [float("nan"), float("inf"), float("-inf")]
        inputs = [
            *({a: each} for each in (*bad, draw.random())),
            {a: 1.5, b: [0.5, draw.choice(bad)]},
            {a: 0.5, b: [draw.random()]},
        ]
        arguments(submission, source, name, draw.sample(inputs, 6))


@pytest.mark.rubric("2.4", points=2)
def test_arguments_of_a_method(submission, draw):
    """`self` of a bound method is no argument, nor is what it returns; no parameters make no fields."""
    for _ in range(3):
        a, b, value = draw.words(3)
        source = (
            f"class Shop:\n"
            f"    def order(self, {a}: dict[str, int], {b}: str = {value!r}) -> str: ...\n"
            f"    def close(self) -> str: ..."
        )
        inputs = [{a: {value: draw.randint(1, 9)}}, {a: {value: value}}, {"self": 1, a: {}, "return": ""}]
        arguments(submission, source, "Shop().order", inputs)
        arguments(submission, source, "Shop().close", [{}, {a: 1}])


# --- 2.5 --------------------------------------------------------------------------------------------------


@pytest.mark.rubric("2.5", points=2)
def test_checked_what_is_no_object(submission, draw):
    """A list, a text, a number and nothing at all are refused with the names of all arguments."""
    for _ in range(3):
        tool, word = draw.words(2)
        inputs = [
            None,
            [{"dish": word}],
            f'{{"dish": "{word}"}}',
            draw.randint(1, 9),
            [],
            (word,),
            {"dish": word},
        ]
        made = submission.make(f"{DRIVER}:function_tool", tool)
        for each in inputs:
            made.check("_checked", each, text=True)


@pytest.mark.rubric("2.5", points=3)
def test_checked_with_several_mistakes(submission, draw):
    """All mistakes come in one line, in their order, and never more than five."""
    for _ in range(3):
        tool, a, *others = draw.words(8)
        wrong = {"dish": draw.randint(1, 9), "size": a, "count": 1.5, "price": "3", others[0]: 1}
        inputs = [
            {others[0]: a},
            {"dish": None, "count": str(draw.randint(1, 9))},
            wrong,
            wrong | dict.fromkeys(others, a),
            {"dish": a, "price": float("nan"), "size": None},
            dict.fromkeys(others, True),
        ]
        made = submission.make(f"{DRIVER}:function_tool", tool)
        for each in inputs:
            made.check("_checked", each, text=True)


@pytest.mark.rubric("2.5", points=3)
def test_explained_long_and_hostile(submission, draw):
    """Giant values, long names, line breaks and control characters are made short and harmless."""
    for _ in range(3):
        tool, a, b = draw.words(3)
        n = draw.randint(1_000, 9_000)
        errors = [
            error("string_type", a, "Input should be a valid string", [b * n]),
            error("extra_forbidden", f"{a}\n" * n, "Extra inputs are not permitted", b),
            error("missing", f"{a}\x1b[31m\u202e{b} " * 9, "Field required", {}),
            error("literal_error", a, f"Input should be '{a}' or '{b}'", f"{b}\n\n\x00\u200b{a} é " * 9),
        ]
        made = submission.make(f"{DRIVER}:function_tool", tool)
        for each in errors:
            made.check("_explained", each)


@pytest.mark.rubric("2.5", points=3)
def test_explained_what_is_allowed(submission, draw):
    """What was given is shown as JSON, what JSON doesn't have as text; pydantic's words are shortened."""
    for _ in range(3):
        tool, a, b = draw.words(3)
        errors = [
            error(
                "string_type", a, "Input should be a valid string", draw.choice([None, True, 2.5, {b: []}])
            ),
            error("int_type", a, "Input should be a valid integer", f"é{b}"),
            error("float_type", a, f"Input should be {b}: Input should be a valid string", {b}),
            error("value_error", a, f"Value error, {b}", [b"raw", {b: None}]),
            error("list_type", a, "Input should be a valid list", {b: 1}, 0, "x"),
        ]
        made = submission.make(f"{DRIVER}:function_tool", tool)
        for each in errors:
            made.check("_explained", each)
        made = submission.make(f"{DRIVER}:function_tool", tool, takes_nothing=True)
        made.check("_explained", error("extra_forbidden", b, "Extra", 1))


def error(kind, name, msg, given, *deeper):
    """One of pydantic's errors."""
    return {"type": kind, "loc": (name, *deeper), "msg": msg, "input": given}
