"""Phoenix experiments: the real client against a small stand-in that checks what it is sent.

The stand-in holds what Phoenix 20.26 was seen to do with the same requests: paths, fields, ids, statuses.
"""

import json
import sys

import httpx
import pytest

from shared.errors import UserError
from step4_finetune.evaluate import phoenix_experiments

URL, KEY = "http://phoenix.example", "open sesame"
DATASET = "RGF0YXNldDox"  # the client sees in an id what it is of: base64 of "Dataset:1"
RUN = {"dataset_example_id", "output", "repetition_number", "start_time", "end_time", "id", "experiment_id"}
EVALUATION = {
    *("experiment_run_id", "name", "annotator_kind", "start_time", "end_time", "result", "error", "metadata"),
    "trace_id",
}


class FakePhoenix:
    """Datasets, experiments, runs and evaluations, as dicts by their ids."""

    def __init__(self):
        self.key, self.plain = None, False
        self.dataset, self.experiments, self.runs, self.evaluations = {}, {}, {}, {}

    def handle(self, request):
        """A reply in place of the network's."""
        body = json.loads(request.read()) if request.method == "POST" else None
        status, answer = self.answer(request.url.path, body)
        if self.plain:
            status, answer = 200, "<html>welcome</html>"
        if self.key and request.headers.get("authorization") != f"Bearer {self.key}":
            status, answer = 401, "Invalid token"
        return httpx.Response(status, **({"text": answer} if isinstance(answer, str) else {"json": answer}))

    def answer(self, path, body):
        """Status and JSON (or text) of a reply."""
        parts = path.strip("/").split("/")
        match parts:
            case ["arize_phoenix_version"]:
                return 200, "20.26.1"
            case ["v1", "datasets"] if body is None:
                return 200, {"data": [], "next_cursor": None}
            case ["v1", "datasets", "upload"]:
                return self.upload(body)
            case ["v1", "datasets", id_] if id_ == DATASET:
                return 200, {"data": {"id": DATASET, "name": self.dataset["name"]}}
            case ["v1", "datasets", id_, "examples"] if id_ == DATASET:
                rows = list(reversed(self.dataset["examples"]))  # in no order that one may rely on
                return 200, {"data": {"dataset_id": DATASET, "version_id": "v1", "examples": rows}}
            case ["v1", "datasets", id_, "experiments"] if id_ == DATASET:
                assert body["version_id"] == "v1"
                id_ = f"e{len(self.experiments)}"
                self.experiments[id_] = body
                return 200, {"data": {"id": id_, "dataset_id": DATASET}}
            case ["v1", "experiments", experiment, "runs"]:
                assert set(body) == RUN
                assert body["dataset_example_id"] in {each["node_id"] for each in self.dataset["examples"]}
                assert experiment == body["experiment_id"] in self.experiments
                id_ = f"r{len(self.runs)}"
                self.runs[id_] = body
                return 200, {"data": {"id": id_}}
            case ["v1", "experiment_evaluations"]:
                assert set(body) == EVALUATION
                assert body["experiment_run_id"] in self.runs
                assert body["annotator_kind"] == "CODE"
                self.evaluations[body["experiment_run_id"], body["name"]] = body["result"]
                return 200, {"data": {"id": "x"}}
        return 404, "Not Found"

    def upload(self, body):
        assert body["action"] == "update"
        if len(set(body["example_ids"])) < len(body["example_ids"]):
            return 422, {"detail": "Duplicate example_id in request"}
        columns = (body["example_ids"], body["inputs"], body["outputs"], body["metadata"])
        rows = [
            {"id": id_, "node_id": f"node {id_}", "input": given, "output": output, "metadata": more}
            for id_, given, output, more in zip(*columns, strict=True)
        ]
        self.dataset = {"name": body["name"], "examples": rows}
        return 200, {"data": {"dataset_id": DATASET, "version_id": "v1"}}


@pytest.fixture
def phoenix(monkeypatch):
    pytest.importorskip("phoenix.client")
    for name in ("PHOENIX_API_KEY", "PHOENIX_CLIENT_HEADERS", "PHOENIX_COLLECTOR_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    server = FakePhoenix()
    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", lambda _self, request: server.handle(request))
    return server


@pytest.fixture
def report(tmp_path):
    """What `evaluate --out` writes, of two systems and two messages."""

    def system(name, *replies):
        return {"name": name, "tuned": name == "tone", "replies": replies, "seconds_a_reply": 1.5}

    bad = {"text": "hey", "all_rules": False, "faithful": False, "both": None, "healthy": False}
    good = dict.fromkeys(phoenix_experiments.SHARES, True)
    messages = [
        {"id": id_, "message": f"{id_}?", "notes": ["price: 5"], "chosen": f"{id_}."}
        for id_ in ("kettle-1", "kettle-2")
    ]
    tone = system("tone", {"text": "Dear one", **good}, {"text": "Dear two", **good})
    facts = {
        **{"company": "Northwind Care", "split": "dev", "model": "tiny", "machine": "a laptop"},
        **{"messages": messages, "systems": [system("base", bad, bad), tone]},
    }
    path = tmp_path / "evaluate.json"
    path.write_text(json.dumps(facts), encoding="utf-8")
    return path


def test_the_split_is_a_dataset_and_each_system_an_experiment_with_its_verdicts(phoenix, report, capsys):
    phoenix_experiments.main(report, URL + "/")
    assert capsys.readouterr().out == f"{URL}/datasets/{DATASET}/experiments\n"
    assert phoenix.dataset["name"] == "Northwind Care, dev"
    assert phoenix.dataset["examples"][0] == {
        "id": "kettle-1",
        "node_id": "node kettle-1",
        "input": {"message": "kettle-1?"},
        "output": {"reply": "kettle-1."},
        "metadata": {"notes": ["price: 5"]},
    }
    assert [each["name"] for each in phoenix.experiments.values()] == ["base", "tone"]
    assert phoenix.experiments["e1"]["metadata"] == {"model": "tiny", "machine": "a laptop", "tuned": True}
    runs = [(run["experiment_id"], run["dataset_example_id"], run["output"]) for run in phoenix.runs.values()]
    assert runs[2:] == [("e1", "node kettle-1", "Dear one"), ("e1", "node kettle-2", "Dear two")]
    base = {name: result for (run, name), result in phoenix.evaluations.items() if run == "r0"}
    no = {"score": 0.0, "label": "no"}
    assert base == {"all_rules": no, "faithful": no, "healthy": no}  # and nothing of what is unknown
    tone = {name: result for (run, name), result in phoenix.evaluations.items() if run == "r3"}
    assert tone == {name: {"score": 1.0, "label": "yes"} for name in phoenix_experiments.SHARES}


def test_a_server_that_wants_a_key_gets_it_from_the_environment(phoenix, report, monkeypatch):
    phoenix.key = KEY
    with pytest.raises(UserError, match=r"failed .*PHOENIX_API_KEY"):
        phoenix_experiments.main(report, URL)
    monkeypatch.setenv("PHOENIX_API_KEY", KEY)
    phoenix_experiments.main(report, URL)
    assert len(phoenix.runs) == 4


def test_what_is_no_phoenix_no_report_or_has_no_client_is_one_line(phoenix, report, tmp_path, monkeypatch):
    phoenix.plain = True
    for url in (URL, "localhost", "http://[::1"):
        with pytest.raises(UserError, match=r"failed .*is `phoenix serve` running there"):
            phoenix_experiments.main(report, url)
    with pytest.raises(UserError, match=r"nowhere\.json is no evaluate\.json of `evaluate --out`"):
        phoenix_experiments.main(tmp_path / "nowhere.json", URL)
    monkeypatch.setitem(sys.modules, "phoenix.client", None)
    with pytest.raises(UserError, match=r"needs Phoenix' client: pip install \.\[phoenix\]"):
        phoenix_experiments.main(report, URL)
