"""Step 2, what learners don't see: the turns of a conversation."""

import pytest

from classroom.grading.callbacks import Meeting
from classroom.rubrics.step2_public import IN_PARALLEL
from classroom.rubrics.step2_scenes import answers, conversation, reply, text, use

# --- 2.6 --------------------------------------------------------------------------------------------------


@pytest.mark.rubric("2.6", points=2)
def test_answer_without_such_a_tool(submission, draw):
    """A tool that doesn't exist is answered with those that do, or none, and no tool is called."""
    for _ in range(3):
        missing, *names = draw.words(4)
        tools = [(name, "gives", draw.text(2)) for name in names]
        answers(submission, [use(draw, missing, of=missing)], tools)
        answers(submission, [use(draw, missing)], [])


@pytest.mark.rubric("2.6", points=2)
def test_answer_that_a_tool_refuses(submission, draw):
    """What a ToolError says is the content, text or blocks; what a tool gives is no error, even if empty."""
    for _ in range(3):
        a, b, c, d = draw.words(4)
        blocks = [{"type": "text", "text": draw.text(2)}, {"type": "text", "text": draw.text(2)}]
        tools = [(a, "refuses", draw.text(3)), (b, "refuses", blocks), (c, "gives", ""), (d, "gives", blocks)]
        answers(submission, [use(draw, name, x=draw.randint(1, 9)) for name in (a, b, c, d)], tools)


@pytest.mark.rubric("2.6", points=3)
def test_answer_of_a_broken_tool(submission, draw):
    """The model hears that a tool failed, and nothing of the bug itself; Ctrl-C is no mistake of a tool."""
    for _ in range(3):
        a, b, secret = draw.words(3)
        tools = [(a, "breaks", f"password {secret}"), (b, "gives", secret)]
        answers(submission, [use(draw, a, x={b: secret}), use(draw, a)], tools)
        answers(submission, [use(draw, a)], [(b, "gives", a), (a, "stopped", None)])


@pytest.mark.rubric("2.6", points=7, timeout=30)
def test_jobs_in_any_number(submission, draw):
    """All are under way before the first ends; results stand in the order of the jobs, however many."""
    for _ in range(2):
        n = draw.randint(4, 7)
        for order in ([*range(n)][::-1], [0], draw.sample(range(n), n)):
            answers = [{"content": draw.text(3)} for _ in order]
            submission.check(IN_PARALLEL, Meeting(answers, order).jobs)


# --- 2.7 --------------------------------------------------------------------------------------------------


def asked(draw):
    """A conversation that has begun."""
    said = [{"role": "user", "content": draw.text(3)}, {"role": "assistant", "content": draw.text(3)}]
    return [*said, {"role": "user", "content": draw.text(3)}]


@pytest.mark.rubric("2.7", points=3)
def test_take_what_is_empty(submission, draw):
    """Empty texts are left out, and so is a turn of which nothing is left; other blocks stay as they came."""
    for _ in range(3):
        empty, call = {"type": "text", "text": ""}, use(draw, draw.words(1)[0], of=draw.text(1))
        thought = {"type": "thinking", "thinking": draw.text(3), "signature": draw.text(1)}
        conversation(submission, asked(draw), [reply(draw, "end_turn", empty)], 5)
        conversation(submission, asked(draw), [reply(draw, "end_turn")], 5)
        replies = [
            reply(draw, "tool_use", empty, thought, call, empty),
            reply(draw, "end_turn", thought, text(draw)),
        ]
        conversation(submission, asked(draw), replies, 5)


@pytest.mark.rubric("2.7", points=4)
def test_take_calls_that_nobody_answers(submission, draw):
    """Calls of a turn that was cut, refused or too long for the context are not run, and leave no trace."""
    for _ in range(3):
        first, second = (use(draw, name, of=draw.text(1)) for name in draw.words(2))
        for stop_reason in ("max_tokens", "refusal", "model_context_window_exceeded", "end_turn"):
            limit = draw.randint(1, 4)
            conversation(
                submission, asked(draw), [reply(draw, stop_reason, first, text(draw), second)], limit
            )
            conversation(submission, asked(draw), [reply(draw, stop_reason, first)], limit)


@pytest.mark.rubric("2.7", points=3)
def test_take_the_last_turn_allowed(submission, draw):
    """A model that would go on, with calls or after a pause, is stopped at the last turn, and not before."""
    for _ in range(3):
        name, limit = draw.words(1)[0], draw.randint(2, 4)
        for stop_reason in ("tool_use", "pause_turn", "end_turn", "max_tokens"):
            calls = [reply(draw, "tool_use", text(draw), use(draw, name, n=i)) for i in range(limit - 1)]
            last = reply(draw, stop_reason, text(draw), *[use(draw, name)] * (stop_reason == "tool_use"))
            conversation(submission, asked(draw), [*calls, last], limit)
        conversation(submission, asked(draw), [reply(draw, "tool_use", use(draw, name))], 1)


@pytest.mark.rubric("2.7", points=3)
def test_take_tells_and_counts(submission, draw):
    """`on_message` hears each turn that is added and no other, and the tokens of every turn are counted."""
    for _ in range(3):
        call = use(draw, draw.words(1)[0])
        replies = [reply(draw, "tool_use", text(draw), call), reply(draw, "max_tokens", call)]
        conversation(submission, asked(draw), replies, draw.randint(3, 5), tells=True)
        conversation(
            submission, asked(draw), [*replies[:1], reply(draw, "end_turn", text(draw))], 2, tells=True
        )


@pytest.mark.rubric("2.7", points=1)
def test_take_a_stream_that_broke_off(submission, draw):
    """A turn without a stop reason is an error of the connection, and nothing is changed by it."""
    for _ in range(3):
        call = use(draw, draw.words(1)[0])
        replies = [reply(draw, "tool_use", text(draw), call), reply(draw, None, text(draw), call)]
        conversation(submission, asked(draw), replies, draw.randint(2, 4))
        conversation(submission, asked(draw), [reply(draw, None)], 3)
