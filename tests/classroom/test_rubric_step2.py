"""The rubric of step 2: the reference has 100 points, and what learners miss costs the tests named here."""

import functools
import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextvars import copy_context

import pytest

from step2_tools.evaluate import prompt_styles
from tests.classroom import rubric_helpers as helpers

SIGNATURE = "step2_tools.evaluate.prompt_styles:signature"
FEW_SHOT = "step2_tools.evaluate.prompt_styles:few_shot"
WRITTEN = "step2_tools.evaluate.prompt_styles:written"
CALLS_IN = "step2_tools.evaluate.prompt_styles:calls_in"
ARGUMENTS_OF = "step2_tools.agent.tool:_arguments_of"
CHECKED = "step2_tools.agent.tool:FunctionTool._checked"
EXPLAINED = "step2_tools.agent.tool:FunctionTool._explained"
ANSWER = "step2_tools.agent.loop:answer"
IN_PARALLEL = "step2_tools.agent.loop:in_parallel"
TAKE = "step2_tools.agent.loop:record_turn"
EXERCISES = {
    "2.1": [SIGNATURE],
    "2.2": [FEW_SHOT, WRITTEN],
    "2.3": [CALLS_IN],
    "2.4": [ARGUMENTS_OF],
    "2.5": [CHECKED, EXPLAINED],
    "2.6": [ANSWER, IN_PARALLEL],
    "2.7": [TAKE],
}
# Whoever waits in vain in a thread of its own is told by an exception there.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
IMPATIENT = {"classroom.grading.callbacks:PATIENCE": 0.5}  # for jobs that will never meet


def test_stubs_are_not_attempted():
    stubs = {target: helpers.not_attempted(id) for id, targets in EXERCISES.items() for target in targets}
    outcomes = helpers.of_wrong("step2", stubs)
    assert {test for test, each in outcomes.items() if each.status != "not attempted"} == set()


def test_an_exercise_that_is_open_costs_no_other():
    """Every tool needs the model of its arguments (2.4); its validation (2.5) can be done without."""
    outcomes = helpers.of_wrong("step2", {ARGUMENTS_OF: helpers.not_attempted("2.4")})
    assert helpers.points(outcomes) == 85


# --- the reference with one thing missed ------------------------------------------------------------------

TURNS = "few_shot_examples_as_turns few_shot_tools_anywhere few_shot_takes_texts_as_they_are"
MISSED = [
    (SIGNATURE, 'about.get("enum", [])', "[]", "signature_of_enums"),
    (SIGNATURE, "json.dumps(each)", "str(each)", "signature_of_enums"),
    (
        SIGNATURE,
        "' '.join(tool.get('description', '').split())",
        "tool['description']",
        "signature_of_what_is_missing",
    ),
    (FEW_SHOT, '*rendered["messages"], turn', 'turn, *rendered["messages"]', TURNS),
    (FEW_SHOT, '"\\n".join(tools)', '", ".join(tools)', TURNS),
    (WRITTEN, " and None not in accepted", "", "written_of_any_label"),
    (WRITTEN, "accepted[0]", "accepted", "written_call written_of_any_label"),
    (CALLS_IN, "if all(", "if calls and all(", "calls_in_brackets"),
    (CALLS_IN, "calls = [value]", "place = opening.end(); calls = [value]", "calls_in_what_is_none"),
    (CALLS_IN, "(ValueError, RecursionError)", "ValueError", "calls_in_what_is_none"),
    (ARGUMENTS_OF, "strict=True, ", "", "arguments_are_strict"),
    (ARGUMENTS_OF, 'extra="forbid", ', "", "arguments_that_do_not_fit arguments_of_a_method"),
    (ARGUMENTS_OF, "allow_inf_nan=False, ", "", "arguments_that_json_does_not_have"),
    (ARGUMENTS_OF, ", include_extras=True", "", "arguments_with_limits"),
    (
        CHECKED,
        "{name: getattr(checked, name) for name in names}",
        "input",
        "checked_fills_in_defaults checked_what_is_no_object",
    ),
    (CHECKED, "if not isinstance(input, dict):", "if not input:", "checked_what_is_no_object"),
    (CHECKED, "[:5]", "", "checked_with_several_mistakes"),
    (EXPLAINED, 'sanitize(str(error["loc"][0]), 40)', 'error["loc"][0]', "explained_long_and_hostile"),
    (EXPLAINED, ", default=str", "", "explained_what_is_allowed"),
    (ANSWER, "if tool is None:", "if False:", "answer_without_such_a_tool"),
    (ANSWER, "error.content", "str(error)", "answer_that_a_tool_refuses"),
    (ANSWER, 'f"{tool.name} failed"', "str(__import__('sys').exc_info()[1])", "answer_of_a_broken_tool"),
    (ANSWER, "except Exception:", "except BaseException:", "answer_of_a_broken_tool"),
    (
        IN_PARALLEL,
        "thread.start()\n",
        "thread.start()\n        thread.join()\n",
        "jobs_in_order jobs_in_any_number",
    ),
    (TAKE, "if reply.stop_reason is None:", "if False:", "take_a_stream_that_broke_off"),
    (TAKE, "done.turns == max_turns", "done.turns > max_turns", "take_the_last_turn_allowed"),
    (TAKE, '("tool_use", "pause_turn")', '("tool_use",)', "take_the_last_turn_allowed"),
    (TAKE, " or block.text", " or True", "take_what_is_empty"),
    (
        TAKE,
        'if done.stop_reason != "tool_use":',
        'if done.stop_reason == "max_turns":',
        "take_a_turn_that_was_cut take_calls_that_nobody_answers take_tells_and_counts",
    ),
    (
        TAKE,
        "if content:",
        "if True:",
        "take_what_is_empty take_calls_that_nobody_answers take_the_last_turn_allowed take_tells_and_counts",
    ),
    (TAKE, "on_message(done.messages[-1])", "pass", "take_tells_and_counts"),
]


@pytest.mark.parametrize(
    ("target", "old", "new", "lost"), MISSED, ids=lambda each: each if isinstance(each, str) else ""
)
def test_what_is_missed_costs_its_tests_and_no_others(target, old, new, lost):
    assert lost_by(helpers.altered(target, old, new)) == set(lost.split())


# --- and done in another way ------------------------------------------------------------------------------


def filled_by_hand(prompt, tools, question):
    """Without `prompts.render`, and the question before the variables."""
    turns = [
        (role, text)
        for pair in prompt.examples
        for role, text in zip(("user", "assistant"), pair, strict=True)
    ]
    turns = [*turns, ("user", question)]
    fill = functools.partial(re.sub, r"\{\{tools\}\}", "\n".join(tools))
    return {
        "system": fill(prompt.system),
        "messages": [{"role": role, "content": fill(text)} for role, text in turns],
    }


def loaded_whole(text):
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, list) else [value]


def one_after_the_other(jobs):
    return [job() for job in jobs]


def as_they_end(jobs):
    with ThreadPoolExecutor(max(1, len(jobs))) as pool:
        return [each.result() for each in as_completed([pool.submit(job) for job in jobs])]


@pytest.mark.parametrize(
    ("target", "wrong", "lost"),
    [
        (
            FEW_SHOT,
            filled_by_hand,
            "few_shot_takes_texts_as_they_are few_shot_tools_anywhere few_shot_refuses_other_prompts",
        ),
        (
            CALLS_IN,
            loaded_whole,
            "calls_in_a_sentence calls_in_chatter calls_in_brackets calls_in_what_is_none",
        ),
        (IN_PARALLEL, one_after_the_other, "jobs_in_order jobs_in_any_number"),
    ],
)
def test_another_way_that_is_wrong_costs_points(target, wrong, lost):
    assert lost_by({target: wrong}) == set(lost.split())


def test_results_in_the_order_of_the_clock_cost_points():
    assert {"jobs_in_order", "jobs_in_any_number"} <= lost_by({IN_PARALLEL: as_they_end})


# --- right in another way ---------------------------------------------------------------------------------


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


@pytest.mark.parametrize(
    "right",
    [{IN_PARALLEL: all_in_threads}, {CALLS_IN: character_by_character}],
    ids=["all_in_threads", "character_by_character"],
)
def test_another_way_that_is_right_costs_nothing(right):
    assert lost_by(right) == set()


def lost_by(wrong):
    """The tests of its exercise that are lost."""
    id = next(id for id, targets in EXERCISES.items() if wrong.keys() & {*targets})
    outcomes = helpers.of_wrong("step2", {**wrong, **IMPATIENT}, id)
    return {test.removeprefix("test_") for test in helpers.lost(outcomes)}
