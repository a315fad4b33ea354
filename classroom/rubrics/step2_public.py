"""Step 2, what learners see: each test draws its inputs, so that a class can have its own."""

import json

import pytest

from classroom.grading.callbacks import Meeting
from classroom.protocol.wire import Record
from classroom.rubrics.step2_scenes import DRIVER, answers, arguments, conversation, reply, text, use

SIGNATURE = "step2_tools.evaluate.prompt_styles:signature"
FEW_SHOT = "step2_tools.evaluate.prompt_styles:few_shot"
WRITTEN = "step2_tools.evaluate.prompt_styles:written"
CALLS_IN = "step2_tools.evaluate.prompt_styles:calls_in"
IN_PARALLEL = "step2_tools.agent.loop:in_parallel"


@pytest.mark.rubric(
    "2.1",
    points=3,
    visibility="public",
    title="A tool on one line",
    hint=(
        "An argument is optional when it is not in `required`. An enum says more than its type.",
        "Walk through the items of `properties`, make a text of each argument, and join them with a comma. "
        "`get` with a second value is for what may be missing.",
        '`" | ".join(json.dumps(each) for each in about.get("enum", []))` is empty where there is no enum: '
        'then `or about.get(...)`, which has "any" in reserve.',
    ),
)
def test_signature_of_types(submission, draw):
    """Arguments with their types, those that may be left out with a question mark."""
    for _ in range(3):
        name, *arguments = draw.words(draw.randint(3, 5))
        kinds = {
            each: {"type": draw.choice(["string", "number", "integer", "boolean"])} for each in arguments
        }
        required = draw.sample(arguments, draw.randint(1, len(arguments)))
        schema = {"type": "object", "properties": kinds, "required": required}
        tool = {"name": name, "description": f"Get {draw.text(4)}.", "input_schema": schema}
        submission.check(SIGNATURE, tool)


@pytest.mark.rubric(
    "2.2",
    points=2,
    visibility="public",
    title="A few-shot renderer",
    hint=(
        "An example is two turns, and the question stands where the first turn of one more example would. "
        "Of several accepted values one is enough; what a question does not say is left out.",
        "`prompts.render` fills in the variables that it is given, and has the examples as turns: what is "
        "missing is the question. A label has a list for each argument, a call has one value.",
        'The messages are `[*rendered["messages"], ...]`. In `written`, an input has `accepted[0]` of each '
        "argument, if there is one and `None` is not among them.",
    ),
)
def test_few_shot_examples_as_turns(submission, draw):
    """The tools stand in the system message, each example is two turns, the question comes last."""
    for _ in range(3):
        prompt = Record(
            "shared.prompts:Prompt",
            {
                "id": draw.words(1)[0],
                "version": draw.randint(1, 9),
                "family": "any",
                "system": draw.text(3) + ":\n{{tools}}\n\n" + draw.text(2),
                "examples": tuple((draw.text(3), draw.text(2)) for _ in range(draw.randint(1, 3))),
            },
        )
        tools = [f"{name}({draw.text(1)}: string): {draw.text(2)}" for name in draw.words(2)]
        submission.check(FEW_SHOT, prompt, tools, f"{draw.text(3)}?")


@pytest.mark.rubric("2.2", points=1, visibility="public")
def test_written_call(submission, draw):
    """A label becomes a list with one call, each argument with the first value that is accepted."""
    for _ in range(3):
        name, *arguments = draw.words(3)
        label = {"name": name, "input": {each: draw.words(2) for each in arguments}}
        submission.check(WRITTEN, {"question": draw.text(3), "calls": [label]})


@pytest.mark.rubric(
    "2.3",
    points=3,
    visibility="public",
    title="Calls in text",
    hint=(
        "`json.loads` wants the whole text to be JSON. `json.JSONDecoder().raw_decode(text, place)` reads "
        "what begins at a place, and says where it ends.",
        "Look for the first bracket from `place` on. JSON there that is calls: done. Other JSON: go on where "
        "it ends. No JSON: go on right behind the bracket.",
        'The loop is `while opening := re.compile(r"[\\[{]").search(...)`; inside, `raw_decode` from '
        "`opening.start()`, and `except (ValueError, RecursionError)` go on from `opening.end()`.",
    ),
)
def test_calls_in_a_sentence(submission, draw):
    """A list of calls among words, a single call, and no call at all."""
    for _ in range(3):
        calls = [{"name": name, "input": {name: draw.text(2)}} for name in draw.words(2)]
        before, after = draw.text(3), draw.text(2)
        submission.check(CALLS_IN, f"{before}: {json.dumps(calls)} {after}")
        submission.check(CALLS_IN, f"{json.dumps(calls[0])}\n{after}")
        submission.check(CALLS_IN, f"{before} {after}.")


@pytest.mark.rubric(
    "2.4",
    points=3,
    visibility="public",
    title="A schema from a signature",
    hint=(
        "`typing.get_type_hints` and `inspect.signature` have all that you need. Without strict mode "
        '`"5"` becomes 5, and the model never learns that it was wrong.',
        "`pydantic.create_model` takes each field as name=(type, default), with `...` where there is no "
        "default, and a `pydantic.ConfigDict` as `__config__`.",
        "For each parameter `(hints[name], ... if parameter.default is parameter.empty else ...)`; the hints "
        "with `include_extras=True`; the config with `strict`, `extra` and `allow_inf_nan`.",
    ),
)
def test_arguments_and_their_defaults(submission, draw):
    """Every parameter is a field, in order, with its default."""
    for _ in range(3):
        name, a, b, c, d = draw.words(5)
        with_defaults = f"{c}: float = {draw.randint(1, 9)}.5, {d}: str = {draw.text(1)!r}"
        source = f"def {name}({a}: str, {b}: int, {with_defaults}) -> str: ..."
        inputs = [
            {a: draw.text(1), b: draw.randint(1, 9)},
            {d: draw.text(1), c: 0.5, b: draw.randint(1, 9), a: ""},
        ]
        arguments(submission, source, name, inputs)


@pytest.mark.rubric("2.4", points=2, visibility="public")
def test_arguments_that_do_not_fit(submission, draw):
    """An argument that is missing, one of the wrong type, and one that does not exist are refused."""
    for _ in range(3):
        name, a, b, other = draw.words(4)
        source = f"def {name}({a}: str, {b}: int = {draw.randint(1, 9)}) -> str: ..."
        inputs = [{b: 1}, {a: draw.text(1), b: draw.text(1)}, {a: draw.text(1), other: 1}, {a: draw.text(1)}]
        arguments(submission, source, name, draw.sample(inputs, 4))


@pytest.mark.rubric(
    "2.5",
    points=2,
    visibility="public",
    title="Validation",
    hint=(
        "`ValidationError.errors()` has `loc`, `type`, `input` and `msg`. Don't echo a giant value.",
        "`self._arguments.model_validate(input)` checks all at once and fills in the defaults; the arguments "
        "are attributes of what it gives. `sanitize` makes any text short and harmless.",
        "What was given is `json.dumps(..., ensure_ascii=False, default=str)` through `sanitize`. `_checked` "
        'says `"; ".join(self._explained(each) for each in ...)` of `error.errors()[:5]`.',
    ),
)
def test_checked_fills_in_defaults(submission, draw):
    """What fits comes back whole, with the defaults of what was not given."""
    for _ in range(3):
        (tool, dish), count = draw.words(2), draw.randint(2, 9)
        inputs = [
            {"dish": dish},
            {"count": count, "dish": dish},
            {"price": count, "size": "large", "dish": dish},
        ]
        made = submission.make(f"{DRIVER}:function_tool", tool)
        for each in inputs:
            made.check("_checked", each, text=True)


@pytest.mark.rubric("2.5", points=2, visibility="public")
def test_explained_in_three_forms(submission, draw):
    """An argument that is missing, one that does not exist, and one that is not allowed, in words."""
    for _ in range(3):
        tool, name, given = draw.words(3)
        errors = [
            {"type": "missing", "loc": (name,), "msg": "Field required", "input": {}},
            {
                "type": "extra_forbidden",
                "loc": (name,),
                "msg": "Extra inputs are not permitted",
                "input": given,
            },
            {"type": "int_type", "loc": (name,), "msg": "Input should be a valid integer", "input": given},
        ]
        made = submission.make(f"{DRIVER}:function_tool", tool)
        for each in errors:
            made.check("_explained", each)


@pytest.mark.rubric(
    "2.6",
    points=3,
    visibility="public",
    title="Dispatch of a turn",
    hint=(
        "Threads end in any order: give each its own place in the list. What an unexpected exception says is "
        "for your log, not for the model.",
        "Make a list of the right length before the threads; thread `i` writes to place `i`. Start them all "
        "before you join the first. `ToolError` has an `except` of its own, before `Exception`.",
        "`do(i)` puts `contexts[i].run(jobs[i])` into place `i`, where each context is a `copy_context()` of "
        "its own; `threading.Thread(target=do, args=(i,), daemon=True)` does it for all but the first.",
    ),
)
def test_answer_of_a_tool(submission, draw):
    """The right tool is called with the input, and its result has the call's id."""
    for _ in range(3):
        names = draw.words(3)
        tools = [(name, "gives", draw.text(4)) for name in names]
        answers(submission, [use(draw, name, of=draw.text(2)) for name in draw.sample(names, 3)], tools)


@pytest.mark.rubric("2.6", points=3, timeout=30, visibility="public")
def test_jobs_in_order(submission, draw):
    """All jobs run at once and end in any order; their results stand in the order of the jobs."""
    for n in (2, 3, 4):
        order = draw.sample(range(n), n)
        for each in (order, order[::-1]):
            answers = [{"content": draw.text(2)} for _ in range(n)]
            submission.check(IN_PARALLEL, Meeting(answers, each).jobs)


@pytest.mark.rubric(
    "2.7",
    points=3,
    visibility="public",
    title="The end of a turn",
    hint=(
        "A conversation with an unanswered `tool_use` is refused for ever after. Two stop reasons leave such "
        "calls behind. What if nothing is left of the turn?",
        "First what the turn says (usage, stop reason, text), then whether it is the last one allowed, then "
        "which blocks may stay: `done.turns` is the number of usages.",
        'Once the stop reason is settled and is not "tool_use", only `[block for block in content if '
        'block["type"] != "tool_use"]` may stay. A turn is added only if it has content.',
    ),
)
def test_take_calls_then_an_answer(submission, draw):
    """Calls are returned to be run, and the answer after them ends the conversation."""
    for _ in range(3):
        question, *words = draw.words(4)
        calls = [use(draw, name, of=draw.text(2)) for name in words]
        replies = [
            reply(draw, "tool_use", text(draw), *calls),
            reply(draw, "end_turn", text(draw), text(draw)),
        ]
        before = [{"role": "user", "content": question}]
        conversation(submission, before, replies, 8)


@pytest.mark.rubric("2.7", points=3, visibility="public")
def test_take_a_turn_that_was_cut(submission, draw):
    """A call that was cut at the limit of tokens is neither run nor kept; the text before it stays."""
    for _ in range(3):
        question, name = draw.words(2)
        cut = reply(draw, "max_tokens", text(draw), use(draw, name, of=draw.text(1)))
        conversation(submission, [{"role": "user", "content": question}], [cut], draw.randint(2, 9))
