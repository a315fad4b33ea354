"""Files of Berkeley's format as labelled questions. The questions are our own; only the format is theirs."""

import json

import jsonschema
import pytest

from shared.embedded import wire
from shared.errors import UserError
from step2_tools.evaluate import bfcl, scoring

FUNCTIONS = [
    {
        "name": "garden.plant",
        "description": "Plant something.",
        "parameters": {
            "type": "dict",
            "properties": {
                "what": {"type": "string", "description": "Which plant."},
                "many": {"type": "integer"},
                "depth": {"type": "float", "description": "In cm."},
                "place": {"type": "tuple", "items": {"type": "float"}},
                "days": {"type": "array", "items": {"type": "string"}},
                "soil": {
                    "type": "dict",
                    "properties": {"kind": {"type": "string"}, "acid": {"type": "boolean", "optional": True}},
                },
                "neighbours": {"type": "array", "items": {"type": "dict"}},
                "note": {"type": "any"},
            },
            "required": ["what", "many"],
        },
    },
    {
        "name": "garden_plant",
        "description": "Another function, whose name would be the same.",
        "parameters": {"type": "dict", "properties": {"x": {"type": "integer"}}, "required": ["x"]},
    },
]
ACCEPTED = {
    "what": ["lady's mantle", "Alchemilla"],
    "many": [3],
    "depth": ["", 2.5, 4.0],
    "place": ["", [1.5, 2.0]],
    "days": ["", ["Monday", "Friday"]],
    "soil": ["", {"kind": ["clay", "loam"], "acid": ["", True]}],
    "neighbours": ["", [{"name": ["oak"], "far": ["", 2]}, {"name": ["ash"]}]],
    "note": ["", "none"],
}


def write(folder, questions, answers=None, name="BFCL_small.json"):
    (folder / "possible_answer").mkdir(exist_ok=True)
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in questions))
    if answers is not None:
        lines = [json.dumps({"id": row["id"], "ground_truth": row["ground_truth"]}) for row in answers]
        (folder / "possible_answer" / name).write_text("\n".join(lines))
    return folder / name


def question(id="simple_python_0", system=None, functions=FUNCTIONS):
    turns = [{"role": "system", "content": system}] if system else []
    turns.append({"role": "user", "content": "Plant three lady's mantles."})
    return {"id": id, "question": [turns], "function": functions}


@pytest.fixture
def case(tmp_path):
    truth = [{"id": "simple_python_0", "ground_truth": [{"garden.plant": ACCEPTED}]}]
    return bfcl.read(write(tmp_path, [question(system="Be brief.")], truth))[0]


def score(case, calls):
    return scoring.score(calls, case.calls, case.tools)


def judged(case, **arguments):
    made = {"what": "Alchemilla", "many": 3} | arguments
    call = {
        "name": "garden_plant",
        "input": {name: value for name, value in made.items() if value != "LEFT OUT"},
    }
    return score(case, [call])


def test_a_question_becomes_a_request_that_the_messages_api_takes(case):
    assert case.system == "Be brief."
    request = {"model": "m", "max_tokens": 9, "messages": case.messages, "tools": case.tools}
    assert wire.validate_request(request) is None
    for tool in case.tools:
        jsonschema.Draft202012Validator.check_schema(tool["input_schema"])


def test_names_are_mapped_and_back_and_no_two_become_one(case):
    names = {"garden_plant": "garden.plant", "garden_plant_2": "garden_plant"}
    assert bfcl.tool_names([each["name"] for each in FUNCTIONS]) == names
    assert [call["name"] for call in case.calls] == ["garden_plant"]
    assert list(bfcl.tool_names(["a" * 200, "a" * 200 + "b", "ü b"])) == ["a" * 128, "a" * 120 + "_2", "__b"]


def test_types_are_json_schemas_at_every_depth(case):
    properties = case.tools[0]["input_schema"]["properties"]
    assert properties["depth"] == {"type": "number", "description": "In cm."}
    assert properties["place"] == {"type": "array", "items": {"type": "number"}}
    assert properties["soil"]["properties"]["acid"] == {"type": "boolean"}
    assert properties["neighbours"]["items"] == {"type": "object"}
    assert properties["note"] == {}


def test_a_parameter_may_be_called_type():
    theirs = {"type": "dict", "properties": {"type": {"type": "float"}, "items": {"type": "any"}}}
    assert bfcl.json_schema(theirs)["properties"] == {"type": {"type": "number"}, "items": {}}


@pytest.mark.parametrize(
    ("arguments", "right"),
    [
        ({}, True),  # all that may be absent is
        ({"what": "LADY'S-MANTLE"}, True),  # case, spaces and - are ignored
        ({"what": "lady's mantel"}, False),
        ({"what": "LEFT OUT"}, False),
        ({"many": 4}, False),
        ({"many": "3"}, False),
        ({"many": True}, False),
        ({"depth": 4}, True),  # an int for a float
        ({"depth": 2.5}, True),
        ({"depth": "2.5"}, False),
        ({"place": [1.5, 2.0]}, True),
        ({"place": [2.0, 1.5]}, False),
        ({"place": [1.5]}, False),
        ({"place": []}, False),
        ({"days": ["monday", "FRIDAY"]}, True),
        ({"days": ["Friday", "Monday"]}, False),
        ({"days": "Monday"}, False),
        ({"soil": {"kind": "Clay"}}, True),
        ({"soil": {"kind": "loam", "acid": True}}, True),
        ({"soil": {"kind": "loam", "acid": False}}, False),
        ({"soil": {"acid": True}}, False),
        ({"soil": {"kind": "clay", "deep": 1}}, False),
        ({"soil": {}}, False),
        ({"neighbours": [{"name": "oak"}, {"name": "Ash"}]}, True),
        ({"neighbours": [{"name": "oak", "far": 2}, {"name": "ash"}]}, True),
        ({"neighbours": [{"name": "oak", "far": 3}, {"name": "ash"}]}, False),
        ({"neighbours": [{"name": "ash"}, {"name": "oak"}]}, False),
        ({"neighbours": [{"name": "oak"}]}, False),
        ({"neighbours": ["oak", "ash"]}, False),
        ({"note": "None"}, True),
        ({"note": 1}, False),
        ({"colour": "red"}, False),
    ],
)
def test_one_call(case, arguments, right):
    assert judged(case, **arguments).right_arguments is right


def test_options_are_written_out_at_every_depth():
    assert bfcl.accepted(["", 2]) == [None, 2]
    nested = {"inner": [{"a": ["x", "y"], "b": ["", 1]}], "plain": [{"lateral": 10.5}]}
    assert {json.dumps(each["inner"]) for each in bfcl.accepted([nested])} == {
        '{"a": "x"}',
        '{"a": "y"}',
        '{"a": "x", "b": 1}',
        '{"a": "y", "b": 1}',
    }
    assert all(each["plain"] == {"lateral": 10.5} for each in bfcl.accepted([nested]))


def test_right_tool_wrong_tool_and_the_number_of_calls(case):
    right = {"name": "garden_plant", "input": {"what": "Alchemilla", "many": 3}}
    found = score(case, [{"name": "garden_plant_2", "input": {"x": 1}}])
    assert (found.valid, found.right_tool, found.needless, found.missing) == (True, False, 1, 1)
    assert score(case, [right]).right_arguments
    assert not score(case, [right, right]).right_arguments
    assert not score(case, []).right_arguments
    assert not score(case, None).valid


def test_parallel_calls_in_any_order_each_paired_once(tmp_path):
    truth = [{"garden_plant": {"x": [1, 2]}}, {"garden_plant": {"x": [1]}}]
    file = write(tmp_path, [question("parallel_0")], [{"id": "parallel_0", "ground_truth": truth}])
    case = bfcl.read(file)[0]

    def right(*values):
        return score(case, [{"name": "garden_plant_2", "input": {"x": x}} for x in values]).right_arguments

    assert right(1, 2)
    assert right(2, 1)
    assert right(1, 1)
    assert not right(2, 2)
    assert not right(1)
    assert not right(1, 2, 1)


def test_where_no_function_helps_no_call_is_right(tmp_path):
    case = bfcl.read(write(tmp_path, [question("live_irrelevance_3")]))[0]
    assert score(case, []).right_arguments
    assert not score(case, [{"name": "garden_plant_2", "input": {"x": 1}}]).right_tool


def test_answers_may_lie_elsewhere(tmp_path):
    file = write(tmp_path, [question()])
    answers = tmp_path / "mine.json"
    answers.write_text(json.dumps({"id": "simple_python_0", "ground_truth": [{"garden_plant": {"x": [1]}}]}))
    assert bfcl.read(file, answers)[0].calls == [{"name": "garden_plant_2", "input": {"x": [1]}}]


@pytest.mark.parametrize(
    ("row", "truth", "message"),
    [
        (question("simple_java_0"), [], "only files with Python functions"),
        (question() | {"question": [[], []]}, [], "only questions of one turn"),
        ({"id": "simple_python_0", "question": [[]]}, [], "only questions of one turn"),
        (question(functions=[{"name": "f"}]), [], "not in their format: no 'parameters'"),
        (question(functions=["f"]), [], "not in their format"),
        (question(), [{"garden.dig": {}}], "not in their format: no 'garden.dig'"),
        (question() | {"id": "simple_python_9"}, [], "has no answer to question 'simple_python_9'"),
    ],
)
def test_what_is_not_in_their_format(tmp_path, row, truth, message):
    id = "simple_python_0" if "9" in row["id"] else row["id"]
    file = write(tmp_path, [row], [{"id": id, "ground_truth": truth}])
    with pytest.raises(UserError, match=message) as error:
        bfcl.read(file)
    assert str(file) in str(error.value)


def test_a_file_without_answers_beside_it(tmp_path):
    with pytest.raises(UserError, match=r"cannot read .*possible_answer"):
        bfcl.read(write(tmp_path, [question()]))
