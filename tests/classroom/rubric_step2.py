"""Changes of step 2's solutions, and the points that each costs: 0 for another right way."""

import functools
import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextvars import copy_context

from step2_tools.evaluate import prompt_styles

SIGNATURE, FEW_SHOT, WRITTEN, CALLS_IN = (
    f"step2_tools.evaluate.prompt_styles:{name}" for name in ("signature", "few_shot", "written", "calls_in")
)
ARGUMENTS_OF = "step2_tools.agent.tool:_arguments_of"
CHECKED, EXPLAINED = (f"step2_tools.agent.tool:FunctionTool.{name}" for name in ("_checked", "_explained"))
ANSWER, IN_PARALLEL, TAKE = (
    f"step2_tools.agent.loop:{name}" for name in ("answer", "in_parallel", "record_turn")
)


def filled_by_hand(prompt, tools, question):
    """Without `prompts.render`, and the question before the variables."""
    turns = [turn for pair in prompt.examples for turn in zip(("user", "assistant"), pair, strict=True)]
    fill = functools.partial(re.sub, r"\{\{tools\}\}", "\n".join(tools))
    messages = [{"role": role, "content": fill(text)} for role, text in [*turns, ("user", question)]]
    return {"system": fill(prompt.system), "messages": messages}


def as_they_end(jobs):
    with ThreadPoolExecutor(max(1, len(jobs))) as pool:
        return [each.result() for each in as_completed([pool.submit(job) for job in jobs])]


def all_in_threads(jobs):
    results = {}
    context = copy_context()

    def do(i):
        results[i] = context.copy().run(jobs[i])

    threads = [threading.Thread(target=do, args=(i,), daemon=True) for i in range(len(jobs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [results[i] for i in range(len(jobs))]


def character_by_character(text):
    end = 0
    for i, character in enumerate(text):
        if i < end or character not in "[{":
            continue
        try:
            value, end = json.JSONDecoder().raw_decode(text[i:])
        except (ValueError, RecursionError):
            continue
        end += i
        calls = value if isinstance(value, list) else [value]
        if all(prompt_styles._is_call(each) for each in calls):
            return calls
    return None


PLAIN_WORDS = "' '.join(tool.get('description', '').split())"
LAST_CALLS = 'if done.stop_reason != "tool_use":'
CHANGES = [
    (0, {IN_PARALLEL: all_in_threads}),
    (0, {CALLS_IN: character_by_character}),
    (5, {FEW_SHOT: filled_by_hand}),
    (10, {IN_PARALLEL: as_they_end}),
    (3, (SIGNATURE, 'about.get("enum", [])', "[]")),
    (4, (SIGNATURE, PLAIN_WORDS, "tool['description']")),
    (6, (FEW_SHOT, '*rendered["messages"], turn', 'turn, *rendered["messages"]')),
    (2, (WRITTEN, " and None not in accepted", "")),
    (3, (WRITTEN, "accepted[0]", "accepted")),
    (2, (CALLS_IN, "if all(", "if calls and all(")),
    (2, (CALLS_IN, "calls = [value]", "place = opening.end(); calls = [value]")),
    (2, (CALLS_IN, "(ValueError, RecursionError)", "ValueError")),
    (4, (ARGUMENTS_OF, "strict=True, ", "")),
    (4, (ARGUMENTS_OF, 'extra="forbid", ', "")),
    (2, (ARGUMENTS_OF, "allow_inf_nan=False, ", "")),
    (2, (ARGUMENTS_OF, ", include_extras=True", "")),
    (4, (CHECKED, "{name: getattr(checked, name) for name in names}", "input")),
    (2, (CHECKED, "if not isinstance(input, dict):", "if not input:")),
    (3, (CHECKED, "[:5]", "")),
    (3, (EXPLAINED, 'sanitize(str(error["loc"][0]), 40)', 'error["loc"][0]')),
    (3, (EXPLAINED, ", default=str", "")),
    (2, (ANSWER, "if tool is None:", "if False:")),
    (2, (ANSWER, "error.content", "str(error)")),
    (3, (ANSWER, 'f"{tool.name} failed"', "str(__import__('sys').exc_info()[1])")),
    (3, (ANSWER, "except Exception:", "except BaseException:")),
    (10, (IN_PARALLEL, "thread.start()\n", "thread.start()\n        thread.join()\n")),
    (1, (TAKE, "if reply.stop_reason is None:", "if False:")),
    (3, (TAKE, "done.turns == max_turns", "done.turns > max_turns")),
    (3, (TAKE, " or block.text", " or True")),
    (10, (TAKE, LAST_CALLS, 'if done.stop_reason == "max_turns":')),
    (13, (TAKE, "if content:", "if True:")),
    (3, (TAKE, "on_message(done.messages[-1])", "pass")),
]
