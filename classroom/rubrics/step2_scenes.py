"""Step 2: what several tests do with functions, tools and turns of a conversation."""

from anthropic.lib.tools import ToolError

from classroom.grading.callbacks import Interrupted, Log

DRIVER = "classroom.drivers.step2"
ANSWER = "step2_tools.agent.loop:answer"


def arguments(submission, source, name, inputs):
    """The model that `_arguments_of` makes of a function: its fields, and what it says to each input."""
    function = submission.make(f"{DRIVER}:function", source, name)
    model = submission.make("step2_tools.agent.tool:_arguments_of", function)
    submission.check(f"{DRIVER}:fields", model)
    for each in inputs:
        submission.check(f"{DRIVER}:validated", model, each)


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


def answers(submission, calls, tools):
    """The block that each call is answered with, and what which tool was called with."""
    log = Log()
    made = [
        submission.make(f"{DRIVER}:Tool", name, log.hears(name, tool_that(does, what)))
        for name, does, what in tools
    ]
    for call in calls:
        submission.check(ANSWER, call, made, asked=log)


def conversation(submission, before, replies, max_turns, tells=False):
    """`record_turn` reply after reply; calls that it returns are answered, as the loop does.

    What it gives, and the conversation then; or, if it `tells`, what `on_message` hears, and the tokens.
    """
    done = submission.make("step2_tools.agent.loop:Outcome", before, began=len(before))
    log = Log()
    hear = log.hears("message")
    for reply in replies:
        message = submission.make(f"{DRIVER}:message", reply)
        args = (message, done, max_turns, hear)
        calls = submission.check("step2_tools.agent.loop:record_turn", *args, asked=log if tells else None)
        for name in ("usages", "turns") if tells else ("text", "stop_reason", "messages"):
            done.check_get(name)
        if calls:
            results = [{"type": "tool_result", "tool_use_id": each["id"], "content": "ok"} for each in calls]
            done.part("messages").call("append", {"role": "user", "content": results})


def use(draw, name, **given):
    """A call, with an id of its own."""
    return {"type": "tool_use", "id": f"toolu_{draw.randint(1, 10**9)}", "name": name, "input": given}


def text(draw, n=3):
    """A block of text."""
    return {"type": "text", "text": draw.text(n)}


def reply(draw, stop_reason, *content):
    """What `turns` makes a message of."""
    usage = {"input_tokens": draw.randint(1, 99), "output_tokens": draw.randint(1, 9_999)}
    return {"content": list(content), "stop_reason": stop_reason, "usage": usage}
