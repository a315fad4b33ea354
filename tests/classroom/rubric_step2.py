"""Changes of step 2's solutions, and the points that each costs: 0 for another right way."""

import functools
import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextvars import copy_context

from step2_tools.evaluate import reply


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
        if all(reply._is_call(call) for call in calls):
            return calls
    return None


PLAIN_WORDS = '" ".join(tool.get("description", "").split())'
LAST_CALLS = 'if done.stop_reason != "tool_use":'
CHANGES = [
    (0, {"in_parallel": all_in_threads}),
    (0, {"calls_in": character_by_character}),
    (5, {"few_shot": filled_by_hand}),
    (10, {"in_parallel": as_they_end}),
    (3, ("signature", 'about.get("enum", [])', "[]")),
    (4, ("signature", PLAIN_WORDS, 'tool["description"]')),
    (6, ("few_shot", '*rendered["messages"], turn', 'turn, *rendered["messages"]')),
    (2, ("written", " and None not in accepted", "")),
    (3, ("written", "accepted[0]", "accepted")),
    (2, ("calls_in", "if all(", "if calls and all(")),
    (2, ("calls_in", "calls: list[Any] = [value]", "place = opening.end(); calls = [value]")),
    (2, ("calls_in", "(ValueError, RecursionError)", "ValueError")),
    (4, ("_arguments_of", "strict=True, ", "")),
    (4, ("_arguments_of", 'extra="forbid", ', "")),
    (2, ("_arguments_of", "allow_inf_nan=False, ", "")),
    (2, ("_arguments_of", ", include_extras=True", "")),
    (4, ("_checked", "{name: getattr(checked, name) for name in names}", "input")),
    (2, ("_checked", "if not isinstance(input, dict):", "if not input:")),
    (3, ("_checked", "[:5]", "")),
    (3, ("_explained", 'sanitize(str(error["loc"][0]), 40)', 'error["loc"][0]')),
    (3, ("_explained", ", default=str", "")),
    (2, ("answer", "if tool is None:", "if False:")),
    (2, ("answer", "error.content", "str(error)")),
    (3, ("answer", 'f"{tool.name} failed"', "str(__import__('sys').exc_info()[1])")),
    (3, ("answer", "except Exception:", "except BaseException:")),
    (10, ("in_parallel", "thread.start()\n", "thread.start()\n        thread.join()\n")),
    (1, ("record_turn", "if reply.stop_reason is None:", "if False:")),
    (3, ("record_turn", "done.turns == max_turns", "done.turns > max_turns")),
    (3, ("record_turn", " or block.text", " or True")),
    (10, ("record_turn", LAST_CALLS, 'if done.stop_reason == "max_turns":')),
    (13, ("record_turn", "if content:", "if True:")),
    (3, ("record_turn", "on_message(done.messages[-1])", "pass")),
]
