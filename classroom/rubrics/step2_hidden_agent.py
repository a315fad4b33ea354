"""Step 2, the hidden tests: the arguments of a tool, and the turns of a conversation."""

import pytest

from classroom.grading.callbacks import Meeting
from classroom.rubrics.step2_public import (
    DRIVER,
    IN_PARALLEL,
    check_answers,
    check_conversation,
    check_model,
    check_tool,
    error,
    reply,
    text,
    use,
)


@pytest.mark.rubric("2.6", points=4, times=3)
def test_arguments_are_strict(submission, draw):
    """A number as text is refused, true is not 1, 2.0 is not an integer; an integer is a valid float."""
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
    check_model(submission, source, name, draw.sample(inputs, 6))


@pytest.mark.rubric("2.6", points=2, times=3)
def test_arguments_with_limits(submission, draw):
    """Hints with `Literal` and `Annotated` are enforced."""
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
    check_model(submission, source, name, [*inputs, {a: draw.choice(values)}])


@pytest.mark.rubric("2.6", points=2, times=3)
def test_arguments_that_json_does_not_have(submission, draw):
    """NaN and infinities are refused, also inside a list."""
    name, a, b = draw.words(3)
    source = f"def {name}({a}: float, {b}: list[float] | None = None) -> str: ..."
    bad = [float("nan"), float("inf"), float("-inf")]
    inputs = [{a: each} for each in (*bad, draw.random())]
    inputs += [{a: 1.5, b: [0.5, draw.choice(bad)]}, {a: 0.5, b: [draw.random()]}]
    check_model(submission, source, name, draw.sample(inputs, 6))


@pytest.mark.rubric("2.6", points=2, times=3)
def test_arguments_of_a_method(submission, draw):
    """`self` and the return value of a bound method are not arguments; no parameters give no fields."""
    a, b, value = draw.words(3)
    source = (
        f"class Shop:\n"
        f"    def order(self, {a}: dict[str, int], {b}: str = {value!r}) -> str: ...\n"
        f"    def close(self) -> str: ..."
    )
    inputs = [{a: {value: draw.randint(1, 9)}}, {a: {value: value}}, {"self": 1, a: {}, "return": ""}]
    check_model(submission, source, "Shop().order", inputs)
    check_model(submission, source, "Shop().close", [{}, {a: 1}])


@pytest.mark.rubric("2.7", points=2, times=3)
def test_checked_what_is_no_object(submission, draw):
    """A list, a text, a number and None are refused with the names of all arguments."""
    tool, word = draw.words(2)
    no_objects = [None, [{"dish": word}], f'{{"dish": "{word}"}}', draw.randint(1, 9), [], (word,)]
    check_tool(submission, tool, "_checked", [*no_objects, {"dish": word}], text=True)


@pytest.mark.rubric("2.7", points=3, times=3)
def test_checked_with_several_mistakes(submission, draw):
    """All mistakes are named in one line, in order, five at most."""
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
    check_tool(submission, tool, "_checked", inputs, text=True)


@pytest.mark.rubric("2.7", points=3, times=3)
def test_explained_long_and_hostile(submission, draw):
    """Giant values, long names, line breaks and control characters are made short and harmless."""
    tool, a, b = draw.words(3)
    n = draw.randint(1_000, 9_000)
    errors = [
        error("string_type", a, "Input should be a valid string", [b * n]),
        error("extra_forbidden", f"{a}\n" * n, "Extra inputs are not permitted", b),
        error("missing", f"{a}\x1b[31m\u202e{b} " * 9, "Field required", {}),
        error("literal_error", a, f"Input should be '{a}' or '{b}'", f"{b}\n\n\x00\u200b{a} é " * 9),
    ]
    check_tool(submission, tool, "_explained", errors)


@pytest.mark.rubric("2.7", points=3, times=3)
def test_explained_what_is_allowed(submission, draw):
    """The value is shown as JSON, or as text where JSON has no such type; messages lose "Input should be"."""
    tool, a, b = draw.words(3)
    plain = draw.choice([None, True, 2.5, {b: []}])
    errors = [
        error("string_type", a, "Input should be a valid string", plain),
        error("int_type", a, "Input should be a valid integer", f"é{b}"),
        error("float_type", a, f"Input should be {b}: Input should be a valid string", {b}),
        error("value_error", a, f"Value error, {b}", [b"raw", {b: None}]),
        error("list_type", a, "Input should be a valid list", {b: 1}, 0, "x"),
    ]
    check_tool(submission, tool, "_explained", errors)
    takes_nothing = submission.make(f"{DRIVER}:function_tool", tool, takes_nothing=True)
    takes_nothing.check("_explained", error("extra_forbidden", b, "Extra", 1))


@pytest.mark.rubric("2.4", points=2, times=3)
def test_answer_without_such_a_tool(submission, draw):
    """A call of an unknown tool is answered with the names of the known ones, and no tool runs."""
    missing, *names = draw.words(4)
    tools = [(name, "gives", draw.text(2)) for name in names]
    check_answers(submission, [use(draw, missing, of=missing)], tools)
    check_answers(submission, [use(draw, missing)], [])


@pytest.mark.rubric("2.4", points=2, times=3)
def test_answer_that_a_tool_refuses(submission, draw):
    """The content of a ToolError is the result, text or blocks; an empty result is not an error."""
    a, b, c, d = draw.words(4)
    blocks = [text(draw, 2), text(draw, 2)]
    tools = [(a, "refuses", draw.text(3)), (b, "refuses", blocks), (c, "gives", ""), (d, "gives", blocks)]
    check_answers(submission, [use(draw, name, x=draw.randint(1, 9)) for name in (a, b, c, d)], tools)


@pytest.mark.rubric("2.4", points=3, times=3)
def test_answer_of_a_broken_tool(submission, draw):
    """The model is told that a tool failed, but not why; Ctrl-C is not caught."""
    a, b, secret = draw.words(3)
    tools = [(a, "breaks", f"password {secret}"), (b, "gives", secret)]
    check_answers(submission, [use(draw, a, x={b: secret}), use(draw, a)], tools)
    check_answers(submission, [use(draw, a)], [(b, "gives", a), (a, "stopped", None)])


@pytest.mark.rubric("2.4", points=7, times=2, timeout=30)
def test_jobs_in_any_number(submission, draw):
    """All jobs start before the first ends; results are in the order of the jobs, however many."""
    n = draw.randint(4, 7)
    for order in ([*range(n)][::-1], [0], draw.sample(range(n), n)):
        results = [{"content": draw.text(3)} for _ in order]
        meeting = Meeting(results, order)
        submission.check(IN_PARALLEL, meeting.jobs, asked=meeting.asked)


def asked(draw):
    """A conversation that has begun."""
    return [{"role": role, "content": draw.text(3)} for role in ("user", "assistant", "user")]


@pytest.mark.rubric("2.5", points=3, times=3)
def test_take_what_is_empty(submission, draw):
    """Empty texts and empty turns are left out; other blocks are kept unchanged."""
    empty, call = {"type": "text", "text": ""}, use(draw, draw.words(1)[0], of=draw.text(1))
    thought = {"type": "thinking", "thinking": draw.text(3), "signature": draw.text(1)}
    check_conversation(submission, asked(draw), [reply(draw, "end_turn", empty)], 5)
    check_conversation(submission, asked(draw), [reply(draw, "end_turn")], 5)
    asks = reply(draw, "tool_use", empty, thought, call, empty)
    check_conversation(submission, asked(draw), [asks, reply(draw, "end_turn", thought, text(draw))], 5)


@pytest.mark.rubric("2.5", points=4, times=3)
def test_take_calls_that_nobody_answers(submission, draw):
    """Calls of a turn that was cut, refused or too long for the context are neither run nor kept."""
    first, second = (use(draw, name, of=draw.text(1)) for name in draw.words(2))
    for stop_reason in ("max_tokens", "refusal", "model_context_window_exceeded", "end_turn"):
        limit = draw.randint(1, 4)
        for content in ((first, text(draw), second), (first,)):
            check_conversation(submission, asked(draw), [reply(draw, stop_reason, *content)], limit)


@pytest.mark.rubric("2.5", points=3, times=3)
def test_take_the_last_turn_allowed(submission, draw):
    """A model that would go on, with calls or after a pause, is stopped at the last turn, not earlier."""
    name, limit = draw.words(1)[0], draw.randint(2, 4)
    for stop_reason in ("tool_use", "pause_turn", "end_turn", "max_tokens"):
        calls = [reply(draw, "tool_use", text(draw), use(draw, name, n=i)) for i in range(limit - 1)]
        last = reply(draw, stop_reason, text(draw), *[use(draw, name)] * (stop_reason == "tool_use"))
        check_conversation(submission, asked(draw), [*calls, last], limit)
    check_conversation(submission, asked(draw), [reply(draw, "tool_use", use(draw, name))], 1)


@pytest.mark.rubric("2.5", points=3, times=3)
def test_take_tells_and_counts(submission, draw):
    """`on_message` gets each turn that is added and no other; the tokens of every turn are counted."""
    call = use(draw, draw.words(1)[0])
    asks, cut = reply(draw, "tool_use", text(draw), call), reply(draw, "max_tokens", call)
    check_conversation(submission, asked(draw), [asks, cut], draw.randint(3, 5), tells=True)
    check_conversation(submission, asked(draw), [asks, reply(draw, "end_turn", text(draw))], 2, tells=True)


@pytest.mark.rubric("2.5", points=1, times=3)
def test_take_a_stream_that_broke_off(submission, draw):
    """A turn without a stop reason is a connection error, and changes nothing."""
    call = use(draw, draw.words(1)[0])
    replies = [reply(draw, "tool_use", text(draw), call), reply(draw, None, text(draw), call)]
    check_conversation(submission, asked(draw), replies, draw.randint(2, 4))
    check_conversation(submission, asked(draw), [reply(draw, None)], 3)
