"""`answers` on replies that a test wrote: which are right, and which the guard replaces."""

import json

CALLS = [("get_weather", {"city": "Paris"}), ("get_weather", {"city": "Tokyo"})]
RIGHT = "In Paris it is 13 °C now, clear sky. In Tokyo it is 13 °C now, rain."
WRONG = "In Paris it is 13 °C now, rain. In Tokyo it is 13 °C now, rain."


def test_replies_are_held_against_the_result_that_they_speak_of(api, command, tmp_path):
    file = tmp_path / "replies.jsonl"
    for reply in (RIGHT, WRONG):
        api.enqueue("", CALLS)
        api.enqueue(reply)
    got = command(
        "step2_tools", "answers", "--split", "several", "--limit", "2", "--save", str(file), "--json"
    )
    report = json.loads(got.out)
    assert (report["right"]["hits"], report["replaced"]["hits"], report["n"]) == (1, 1, 2)
    wrong = report["wrong"][0]
    assert wrong["answer"] == WRONG
    assert "not in its result: rain" in wrong["problems"][0]
    saved = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert [row["reply"] for row in saved] == [RIGHT, WRONG]
    assert [call["input"] for call in saved[0]["calls"]] == [arguments for _, arguments in CALLS]


def test_a_reply_without_a_number_of_the_results_is_wrong_but_not_replaced(api, command):
    api.enqueue("", CALLS[:1])
    api.enqueue("Take a jacket.")
    got = command("step2_tools", "answers", "--limit", "1", "--json")
    report = json.loads(got.out)
    assert (report["right"]["hits"], report["replaced"]["hits"]) == (0, 0)
    assert report["wrong"][0]["problems"] == ["no number of a result is told"]


def test_questions_that_lead_to_no_call_are_an_error_in_one_line(api, command):
    api.enqueue("I don't know.")
    got = command("step2_tools", "answers", "--limit", "1")
    assert got.code == 2
    assert got.err.endswith("error: no question led to a call: there are no answers to judge\n")
