"""Step 2, the public tests: each draws its inputs, so that a class can have its own."""

import json

import pytest
from anthropic.lib.tools import ToolError

from classroom.grading.callbacks import Interrupted, Log, Meeting
from classroom.protocol.wire import Record

SIGNATURE = "step2_tools.evaluate.request:signature"
FEW_SHOT = "step2_tools.evaluate.request:few_shot"
WRITTEN = "step2_tools.evaluate.request:written"
CALLS_IN = "step2_tools.evaluate.reply:calls_in"
ANSWER, IN_PARALLEL = "step2_tools.agent.loop:answer", "step2_tools.agent.loop:in_parallel"
DRIVER = "classroom.drivers.step2"


@pytest.mark.rubric("2.1", points=3, times=3, visibility="public")
def test_signature_of_types(submission, draw):
    """Arguments with their types; optional ones have a question mark."""
    name, *arguments = draw.words(draw.randint(3, 5))
    kinds = {each: {"type": draw.choice(["string", "number", "integer", "boolean"])} for each in arguments}
    required = draw.sample(arguments, draw.randint(1, len(arguments)))
    schema = {"type": "object", "properties": kinds, "required": required}
    tool = {"name": name, "description": f"Get {draw.text(4)}.", "input_schema": schema}
    submission.check(SIGNATURE, tool)


def prompt(draw, system, *examples):
    """A prompt of any name."""
    fields = {"id": f"p{draw.randint(100, 999)}", "version": draw.randint(10, 99), "family": "any"}
    return Record("shared.prompts:Prompt", fields | {"system": system, "examples": examples})


@pytest.mark.rubric("2.2", points=2, times=3, visibility="public")
def test_few_shot_examples_as_turns(submission, draw):
    """The tools are in the system message, each example is two turns, the question comes last."""
    system = draw.text(3) + ":\n{{tools}}\n\n" + draw.text(2)
    examples = [(draw.text(3), draw.text(2)) for _ in range(draw.randint(1, 3))]
    tools = [f"{name}({draw.text(1)}: string): {draw.text(2)}" for name in draw.words(2)]
    submission.check(FEW_SHOT, prompt(draw, system, *examples), tools, f"{draw.text(3)}?")


def question(draw, calls):
    """A question with this label."""
    fields = {"id": f"q{draw.randint(100, 999)}", "kind": "weather", "text": f"{draw.text(3)}?"}
    return Record("step2_tools.evaluate.questions:Question", fields | {"calls": calls})


@pytest.mark.rubric("2.2", points=1, times=3, visibility="public")
def test_written_call(submission, draw):
    """A label becomes a list with one call, each argument with the first value that is accepted."""
    name, *arguments = draw.words(3)
    label = {"name": name, "input": {each: draw.words(2) for each in arguments}}
    submission.check(WRITTEN, question(draw, [label]))


@pytest.mark.rubric("2.3", points=3, times=3, visibility="public")
def test_calls_in_a_sentence(submission, draw):
    """A list of calls among words, a single call, and no call at all."""
    calls = [{"name": name, "input": {name: draw.text(2)}} for name in draw.words(2)]
    before, after = draw.text(3), draw.text(2)
    submission.check(CALLS_IN, f"{before}: {json.dumps(calls)} {after}")
    submission.check(CALLS_IN, f"{json.dumps(calls[0])}\n{after}")
    submission.check(CALLS_IN, f"{before} {after}.")


def check_model(submission, source, name, inputs):
    """Compare the fields of the model that `_arguments_of` makes, and how it judges each input."""
    function = submission.make(f"{DRIVER}:function", source, name)
    model = submission.make("step2_tools.agent.tool:_arguments_of", function)
    submission.check(f"{DRIVER}:fields", model)
    for each in inputs:
        submission.check(f"{DRIVER}:validated", model, each)


@pytest.mark.rubric("2.6", points=3, times=3, visibility="public")
def test_arguments_and_their_defaults(submission, draw):
    """Every parameter is a field, in order, with its default."""
    name, a, b, c, d = draw.words(5)
    with_defaults = f"{c}: float = {draw.randint(1, 9)}.5, {d}: str = {draw.text(1)!r}"
    source = f"def {name}({a}: str, {b}: int, {with_defaults}) -> str: ..."
    few = {a: draw.text(1), b: draw.randint(1, 9)}
    check_model(submission, source, name, [few, {d: draw.text(1), c: 0.5, b: draw.randint(1, 9), a: ""}])


@pytest.mark.rubric("2.6", points=2, times=3, visibility="public")
def test_arguments_that_do_not_fit(submission, draw):
    """An argument that is missing, one of the wrong type, and one that does not exist are refused."""
    name, a, b, other = draw.words(4)
    source = f"def {name}({a}: str, {b}: int = {draw.randint(1, 9)}) -> str: ..."
    inputs = [{b: 1}, {a: draw.text(1), b: draw.text(1)}, {a: draw.text(1), other: 1}, {a: draw.text(1)}]
    check_model(submission, source, name, draw.sample(inputs, 4))


def check_tool(submission, name, method, inputs, **how):
    """Compare what a tool of this name makes of inputs (`_checked`) or pydantic's errors (`_explained`)."""
    made = submission.make(f"{DRIVER}:function_tool", name)
    for each in inputs:
        made.check(method, each, **how)


def error(kind, name, msg, given, *deeper):
    """One of pydantic's errors."""
    return {"type": kind, "loc": (name, *deeper), "msg": msg, "input": given}


@pytest.mark.rubric("2.7", points=2, times=3, visibility="public")
def test_checked_fills_in_defaults(submission, draw):
    """Valid arguments are returned with the defaults filled in."""
    (tool, dish), count = draw.words(2), draw.randint(2, 9)
    whole = {"price": count, "size": "large", "dish": dish}
    check_tool(
        submission, tool, "_checked", [{"dish": dish}, {"count": count, "dish": dish}, whole], text=True
    )


@pytest.mark.rubric("2.7", points=2, times=3, visibility="public")
def test_explained_in_three_forms(submission, draw):
    """An argument that is missing, one that does not exist, and one that is not allowed, in words."""
    tool, name, given = draw.words(3)
    errors = [
        error("missing", name, "Field required", {}),
        error("extra_forbidden", name, "Extra inputs are not permitted", given),
        error("int_type", name, "Input should be a valid integer", given),
    ]
    check_tool(submission, tool, "_explained", errors)


def tool_that(does, what):
    """A function that `gives` something, `refuses`, `breaks`, or is `stopped` by Ctrl-C."""

    def call(_input):
        if does == "refuses":
            raise ToolError(what)
        if does == "breaks":
            raise RuntimeError(what)
        if does == "stopped":
            raise Interrupted
        return what

    return call


def check_answers(submission, calls, tools):
    """Compare the block that answers each call, and which tool was called with what."""
    log = Log()
    heard = [(name, log.hears(name, tool_that(does, what))) for name, does, what in tools]
    made = [submission.make(f"{DRIVER}:Tool", *each) for each in heard]
    for call in calls:
        submission.check(ANSWER, call, made, asked=log)


def use(draw, name, **given):
    """A call, with an id of its own."""
    return {"type": "tool_use", "id": f"toolu_{draw.randint(1, 10**9)}", "name": name, "input": given}


@pytest.mark.rubric("2.4", points=3, times=3, visibility="public")
def test_answer_of_a_tool(submission, draw):
    """The right tool is called with the input, and its result has the call's id."""
    names = draw.words(3)
    tools = [(name, "gives", draw.text(4)) for name in names]
    check_answers(submission, [use(draw, name, of=draw.text(2)) for name in draw.sample(names, 3)], tools)


@pytest.mark.rubric("2.4", points=3, timeout=30, visibility="public")
def test_jobs_in_order(submission, draw):
    """All jobs run at once and end in any order; their results stand in the order of the jobs."""
    for n in (2, 3, 4):
        order = draw.sample(range(n), n)
        for each in (order, order[::-1]):
            results = [{"content": draw.text(2)} for _ in range(n)]
            meeting = Meeting(results, each)
            submission.check(IN_PARALLEL, meeting.jobs, asked=meeting.asked)


def text(draw, n=3):
    """A block of text."""
    return {"type": "text", "text": draw.text(n)}


def reply(draw, stop_reason, *content):
    """What `turns` makes a message of."""
    usage = {"input_tokens": draw.randint(1, 99), "output_tokens": draw.randint(1, 9_999)}
    return {"content": list(content), "stop_reason": stop_reason, "usage": usage}


def check_conversation(submission, before, replies, max_turns, tells=False):
    """`record_turn` for one reply after the other; the calls that it returns are answered, as the loop does.

    Compares its result and the conversation; or, if it `tells`, what `on_message` gets and the token counts.
    """
    done = submission.make("step2_tools.agent.loop:Outcome", before, began=len(before))
    log = Log()
    hear = log.hears("message")
    for each in replies:
        args = (submission.make(f"{DRIVER}:message", each), done, max_turns, hear)
        calls = submission.check("step2_tools.agent.loop:record_turn", *args, asked=log if tells else None)
        for name in ("usages", "turns") if tells else ("text", "stop_reason", "messages"):
            done.check_get(name)
        if calls:
            results = [{"type": "tool_result", "tool_use_id": call["id"], "content": "ok"} for call in calls]
            done.part("messages").call("append", {"role": "user", "content": results})


@pytest.mark.rubric("2.5", points=3, times=3, visibility="public")
def test_take_calls_then_an_answer(submission, draw):
    """Calls are returned to be run; the answer after them ends the conversation."""
    question, *words = draw.words(4)
    calls = [use(draw, name, of=draw.text(2)) for name in words]
    asks = reply(draw, "tool_use", text(draw), *calls)
    ends = reply(draw, "end_turn", text(draw), text(draw))
    check_conversation(submission, [{"role": "user", "content": question}], [asks, ends], 8)


@pytest.mark.rubric("2.5", points=3, times=3, visibility="public")
def test_take_a_turn_that_was_cut(submission, draw):
    """A call that was cut at the token limit is neither run nor kept; the text before it is kept."""
    question, name = draw.words(2)
    cut = reply(draw, "max_tokens", text(draw), use(draw, name, of=draw.text(1)))
    check_conversation(submission, [{"role": "user", "content": question}], [cut], draw.randint(2, 9))
