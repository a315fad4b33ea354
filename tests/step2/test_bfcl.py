"""Berkeley's files become labelled questions with tools of their own."""

import json

import pytest

from shared.errors import UserError
from step2_tools.evaluate import bfcl
from step2_tools.evaluate.scoring import Score, score

QUESTION = {
    "id": "multiple_2",
    "question": [[{"role": "user", "content": "Area of a triangle with base 3 and height 4?"}]],
    "function": [
        {
            "name": "geometry.area",
            "description": "The area of a triangle.",
            "parameters": {
                "type": "dict",
                "required": ["base", "sides"],
                "properties": {
                    "base": {"type": "float", "description": "Base."},
                    "sides": {"type": "tuple", "items": {"type": "any"}},
                    "options": {"type": "dict", "properties": {"unit": {"type": "string"}}, "optional": True},
                },
            },
        }
    ],
}
ANSWER = {
    "id": "multiple_2",
    "ground_truth": [
        {"geometry.area": {"base": [3.0], "sides": [[4, 5]], "options": [{"unit": ["cm", ""]}, ""]}}
    ],
}


@pytest.fixture
def file(tmp_path):
    def write(question=QUESTION, answer=ANSWER, name="BFCL_v4_multiple.json"):
        (tmp_path / "possible_answer").mkdir(exist_ok=True)
        (tmp_path / "possible_answer" / name).write_text(json.dumps(answer))
        (tmp_path / name).write_text(json.dumps(question))
        return tmp_path / name

    return write


@pytest.mark.parametrize(
    ("arguments", "right"),
    [
        ({"base": 3, "sides": [4, 5]}, True),
        ({"base": 3, "sides": [4, 5], "options": {"unit": "cm"}}, True),
        ({"base": 3, "sides": [4, 5], "options": {"unit": "inch"}}, False),
        ({"base": 3, "sides": [5, 4]}, False),
        ({"sides": [4, 5]}, False),
    ],
)
def test_calls_are_scored_by_their_answers(file, arguments, right):
    (question,) = bfcl.read(file())
    assert question.text == "Area of a triangle with base 3 and height 4?"
    assert question.tools[0]["input_schema"] == {
        "type": "object",
        "required": ["base", "sides"],
        "properties": {
            "base": {"type": "number", "description": "Base."},
            "sides": {"type": "array", "items": {}},
            "options": {"type": "object", "properties": {"unit": {"type": "string"}}},
        },
    }
    call = {"name": "geometry_area", "input": arguments}
    assert score([call], question.calls, question.tools).right_arguments is right


def test_an_irrelevant_question_needs_no_call_and_no_file_of_answers(file, tmp_path):
    path = file({**QUESTION, "id": "irrelevance_0"})
    (tmp_path / "possible_answer" / path.name).unlink()
    (question,) = bfcl.read(path)
    assert score([], question.calls, question.tools) == Score(True, True, True, False)


@pytest.mark.parametrize(
    ("question", "answer", "message"),
    [
        ("no object", ANSWER, "not a BFCL file"),
        ({**QUESTION, "question": [[{}], [{}]]}, ANSWER, "too many values"),
        (QUESTION, {**ANSWER, "id": "multiple_3"}, "'multiple_2'"),
        ({**QUESTION, "function": None}, ANSWER, "not a BFCL file"),
    ],
)
def test_another_format_is_refused(file, question, answer, message):
    with pytest.raises(UserError, match=message):
        bfcl.read(file(question, answer))


def test_a_missing_or_empty_file_is_refused(file, tmp_path):
    with pytest.raises(UserError, match="No such file"):
        bfcl.read(tmp_path / "none.json")
    path = file()
    path.write_text("")
    with pytest.raises(UserError, match="no questions"):
        bfcl.read(path)
