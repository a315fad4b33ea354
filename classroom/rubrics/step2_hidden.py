"""Step 2, the hidden tests: texts for a model, and texts of a model."""

import json

import pytest

from classroom.rubrics.step2_public import CALLS_IN, FEW_SHOT, SIGNATURE, WRITTEN, prompt, question


@pytest.mark.rubric("2.1", points=3, times=3)
def test_signature_of_enums(submission, draw):
    """An enum is shown in place of its type, its values as JSON: texts, numbers, true and null."""
    name, *arguments = draw.words(4)
    values = [*draw.words(3), draw.randint(1, 99), draw.random(), None, True, f"{draw.words(1)[0]} é"]
    enums = {each: draw.sample(values, draw.randint(1, 4)) for each in arguments}
    properties = {each: {"type": "string", "enum": enum} for each, enum in enums.items()}
    properties[arguments[0]].pop("type")
    schema = {"properties": properties, "required": draw.sample(arguments, 2)[::-1]}
    submission.check(SIGNATURE, {"name": name, "description": draw.text(3), "input_schema": schema})


@pytest.mark.rubric("2.1", points=4, times=3)
def test_signature_of_what_is_missing(submission, draw):
    """Without `properties`, `required`, type or description; an empty enum; several lines of description."""
    name, a, b = draw.words(3)
    description = draw.text(4)
    lines = f"\n  {draw.text(3)}\n\n    {draw.text(2)}\t {draw.text(2)}\r\n{draw.text(1)}.  "
    bare = {"type": "object", "properties": {a: {}, b: {"type": "number"}}}
    empty = {"properties": {b: {"enum": [], "type": "integer"}, a: {"enum": []}}, "required": [a]}
    submission.check(SIGNATURE, {"name": name, "input_schema": bare})
    for said, schema in ((description, {"type": "object"}), (description, empty), (lines, empty)):
        submission.check(SIGNATURE, {"name": name, "description": said, "input_schema": schema})


TOOLS = "{{tools}}"


def variable(name):
    """The variable as it stands in a prompt."""
    return "{{" + name + "}}"


@pytest.mark.rubric("2.2", points=4, times=3)
def test_few_shot_places_and_odd_texts(submission, draw):
    """Tools stand wherever the prompt says, even twice; a text that looks like a variable is kept."""
    a, b = draw.words(2)
    examples = [
        (f"{draw.text(1)} {variable(' tools ')}", '[{"x": {}}, {{tools}}]'),
        (draw.text(2), "{tools}"),
        (draw.text(2), draw.text(1)),
    ]
    system = f"{variable('tools ')}\n\n{draw.text(3)} {TOOLS}"
    lines = [f"{name}()" for name in draw.words(draw.randint(0, 3))]
    submission.check(FEW_SHOT, prompt(draw, system, *draw.sample(examples, 3)), lines, draw.text(2))
    odd_lines = [f"{a}(): {TOOLS} \\1 {variable(b)}", f"{b}(x: \\g<0>): {draw.text(1)}\n"]
    odd_question = f" {TOOLS} {variable(a)} {variable(f' {b} ')}\n\\n "
    submission.check(FEW_SHOT, prompt(draw, f"{TOOLS} {a}", (a, b)), odd_lines, odd_question)
    submission.check(FEW_SHOT, prompt(draw, system), lines, draw.text(2))


@pytest.mark.rubric("2.2", points=1, times=3)
def test_few_shot_refuses_other_prompts(submission, draw):
    """A prompt without the variable `tools`, or with another variable, is a UserError."""
    a, b = draw.words(2)
    wrong = (draw.text(3), f"{TOOLS} {variable(a)}", variable(b))
    for system in draw.sample((*wrong, f"{TOOLS} {a}", TOOLS), 5):
        examples = [(a, b)] if system in wrong else []
        submission.check(FEW_SHOT, prompt(draw, system, *examples), [draw.text(1)], draw.text(2))


@pytest.mark.rubric("2.2", points=2, times=3)
def test_written_of_any_label(submission, draw):
    """Several calls or none, values of any type; arguments that may be left out are left out."""
    a, b, c, d, e = draw.words(5)
    odd = {d: [], a: [draw.choice([0, False, ""]), 1], b: [draw.random()], e: [{a: [b]}]}
    labels = [
        {"name": a, "input": {b: [draw.text(1), None], c: [None, draw.text(1)], d: [f"é {e}"]}},
        {"name": b, "input": {}},
        {"name": c, "input": odd},
    ]
    for calls in (draw.sample(labels, 3), draw.sample(labels, 1), []):
        submission.check(WRITTEN, question(draw, calls))


def call(draw):
    """A call that a model might write."""
    name, argument = draw.words(2)
    return {"name": name, "input": {argument: draw.text(1), "more": {"list": [draw.randint(1, 9), []]}}}


@pytest.mark.rubric("2.3", points=3, times=3)
def test_calls_in_chatter(submission, draw):
    """Footnotes, braces, code fences and other JSON before the calls, and more calls after them."""
    calls, other = [call(draw), call(draw)], call(draw)
    word, number = draw.words(1)[0], draw.randint(1, 9)
    for said in (
        f"As in [{number}], {{{word}}}:\n```json\n{json.dumps(calls, indent=2)}\n```\n[{word}]",
        f'{{"{word}": [{{}}]}} [{number}, [{number}]] {json.dumps(other)} or {calls}',
        f"[ {{ [{json.dumps(calls)} and {json.dumps(other)}",
    ):
        submission.check(CALLS_IN, said)


@pytest.mark.rubric("2.3", points=2, times=3)
def test_calls_in_brackets(submission, draw):
    """Brackets inside strings, an empty list, a list that was cut after its first call."""
    name, argument, word = draw.words(3)
    tricky = [{"name": name, "input": {argument: f'{word} ]}} [{{"x": ]'}}]
    submission.check(CALLS_IN, f"{word} {json.dumps(tricky)}]")
    submission.check(CALLS_IN, f"{word}: []")
    submission.check(CALLS_IN, json.dumps([call(draw), call(draw)])[: -draw.randint(2, 20)])


@pytest.mark.rubric("2.3", points=2, times=3)
def test_calls_in_what_is_none(submission, draw):
    """JSON that is not a list of calls, even if it contains one; text that was cut; only brackets."""
    name, argument = draw.words(2)
    values = (
        [{"name": name, "args": {"list": []}}],
        [{"name": name, "input": draw.text(1)}],
        [{"name": draw.randint(1, 9), "input": {}}],
        [call(draw), {"name": name}],
        {"name": name, "input": {}, "note": draw.text(1)},
        {"calls": [call(draw)]},
        [call(draw)],  # these are
    )
    for value in draw.sample(values, 7):
        submission.check(CALLS_IN, f"{argument} {json.dumps(value)}")
    submission.check(CALLS_IN, json.dumps([{"name": name, "input": {argument: draw.text(2)}}])[:-3])
    submission.check(CALLS_IN, "[" * draw.randint(1_100, 1_500))
