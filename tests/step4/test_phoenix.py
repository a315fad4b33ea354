"""Phoenix experiments: the real client against a small stand-in on loopback that checks what it is sent.

The stand-in holds what Phoenix 20.26 was seen to do with the same requests: paths, fields, ids, statuses.
"""

import http.server
import json
import sys
import threading
from urllib.parse import urlsplit

import pytest

from shared.errors import UserError
from step4_finetune.evaluate import phoenix_experiments

KEY = "open sesame"
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
        self.broken = None  # a path at which the server falls over

    def __enter__(self):
        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler_of(self))
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self._http.shutdown()
        self._http.server_close()

    def answer(self, path, body):
        """Status and JSON (or text) of a reply."""
        parts = path.strip("/").split("/")
        match parts:
            case _ if self.broken and path.startswith(self.broken):
                return 500, "out of disk"
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


def handler_of(server):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.reply(None)

        def do_POST(self):
            self.reply(json.loads(self.rfile.read(int(self.headers["content-length"]))))

        def reply(self, body):
            if server.key and self.headers.get("authorization") != f"Bearer {server.key}":
                status, answer = 401, "Invalid token"
            elif server.plain:
                status, answer = 200, "<html>welcome</html>"
            else:
                status, answer = server.answer(urlsplit(self.path).path, body)
            data = (answer if isinstance(answer, str) else json.dumps(answer)).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_):
            pass

    return Handler


@pytest.fixture(autouse=True)
def no_settings_of_this_machine(monkeypatch):
    for name in ("PHOENIX_API_KEY", "PHOENIX_CLIENT_HEADERS", "PHOENIX_COLLECTOR_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def phoenix():
    pytest.importorskip("phoenix.client")
    with FakePhoenix() as server:
        yield server


def reply(text, **verdicts):
    known = {
        "all_rules": True,
        "faithful": True,
        "both": True,
        "healthy": True,
    }
    return {"text": text, "rules": {"greeting": True}, "problems": [], **known, **verdicts}


def facts():
    def system(name, *replies):
        costs = {"prompt_tokens": 20.0, "reply_tokens": 7.0, "seconds_a_reply": 1.5}
        return {"name": name, "tuned": name == "tone", "replies": list(replies), **costs}

    bad = reply(
        "hey",
        **{"all_rules": False, "faithful": False, "both": None, "healthy": False},
        **{
            "rules": {"greeting": False, "calm": True, "sign_off": False},
            "problems": ["cut"],
            "missing": ["ask: date"],
            "added": ["19.4"],
            "turned": [],
        },
    )
    messages = [
        {"id": id_, "message": f"{id_}?", "notes": ["price: 5"], "chosen": f"{id_}.", "rejected": None}
        for id_ in ("kettle-1", "kettle-2")
    ]
    return {
        "company": "Northwind Care",
        "split": "dev",
        "model": "tiny",
        "machine": "a laptop",
        "messages": messages,
        "systems": [system("base", bad, bad), system("tone", reply("Dear one"), reply("Dear two"))],
    }


def test_the_split_is_a_dataset_and_each_system_an_experiment_with_its_verdicts(phoenix):
    found = facts()
    phoenix_experiments.ready(phoenix.url + "/")(found)
    assert phoenix.dataset["name"] == "Northwind Care, dev"
    assert phoenix.dataset["examples"][0] == {
        "id": "kettle-1",
        "node_id": "node kettle-1",
        "input": {"message": "kettle-1?"},
        "output": {"reply": "kettle-1."},
        "metadata": {"notes": ["price: 5"]},
    }
    assert [each["name"] for each in phoenix.experiments.values()] == ["base", "tone"]
    assert phoenix.experiments["e1"]["metadata"] == {
        **{"model": "tiny", "machine": "a laptop", "tuned": True},
        **{"prompt_tokens": 20, "reply_tokens": 7, "seconds_a_reply": 1.5},
    }
    runs = [(run["experiment_id"], run["dataset_example_id"], run["output"]) for run in phoenix.runs.values()]
    assert runs[2:] == [("e1", "node kettle-1", "Dear one"), ("e1", "node kettle-2", "Dear two")]
    base = {name: result for (run, name), result in phoenix.evaluations.items() if run == "r0"}
    assert base == {  # what is wrong, and nothing of what is unknown
        "all_rules": {"score": 0.0, "label": "no", "explanation": "greeting, sign_off"},
        "faithful": {"score": 0.0, "label": "no", "explanation": "missing: ask: date, added: 19.4"},
        "healthy": {"score": 0.0, "label": "no", "explanation": "cut"},
    }
    tone = {name: result for (run, name), result in phoenix.evaluations.items() if run == "r3"}
    assert tone == {name: {"score": 1.0, "label": "yes"} for name in phoenix_experiments.SHARES}
    assert found["phoenix"] == {
        "dataset": "Northwind Care, dev",
        "url": f"{phoenix.url}/datasets/{DATASET}/experiments",
        "experiments": {"base": "e0", "tone": "e1"},
    }


def test_a_server_that_wants_a_key_gets_it_from_the_environment(phoenix, monkeypatch):
    phoenix.key = KEY
    with pytest.raises(UserError, match=r"answered 401 .*: set PHOENIX_API_KEY"):
        phoenix_experiments.ready(phoenix.url)
    monkeypatch.setenv("PHOENIX_API_KEY", KEY)
    phoenix_experiments.ready(phoenix.url)(facts())
    assert len(phoenix.runs) == 4


# --- bad input --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://127.0.0.1:1", "failed .*is `phoenix serve` running there"),
        ("localhost", "failed .*missing an 'http://'"),
        ("http://[::1", "is not an address"),
    ],
)
def test_an_address_where_nobody_answers(url, says):
    pytest.importorskip("phoenix.client")
    with pytest.raises(UserError, match=says) as caught:
        phoenix_experiments.ready(url)
    assert "\n" not in str(caught.value)


def test_another_server_is_no_phoenix_and_no_password_is_repeated(phoenix):
    phoenix.plain = True
    with pytest.raises(UserError, match="is not a Phoenix server") as caught:
        phoenix_experiments.ready(phoenix.url.replace("//", "//me:secret@"))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("path", ["/v1/datasets/upload", "/v1/experiments/e1", "/v1/experiment_evaluations"])
def test_a_server_that_falls_over_on_the_way_is_one_line(phoenix, path):
    add, found = phoenix_experiments.ready(phoenix.url), facts()
    phoenix.broken = path
    with pytest.raises(UserError, match="out of disk") as caught:
        add(found)
    assert "\n" not in str(caught.value)
    assert "phoenix" not in found


def test_without_the_client_it_is_said_how_to_get_it(refused, monkeypatch):
    monkeypatch.setitem(sys.modules, "phoenix.client", None)
    line = refused("step4_finetune", "evaluate", "--smoke", "--phoenix", "http://127.0.0.1:6006")
    assert line == "error: --phoenix needs Phoenix' client: pip install .[phoenix]\n"


# --- behind the command -----------------------------------------------------------------------------------


def test_the_command_says_where_the_experiments_are(command, phoenix):
    got = command(
        "step4_finetune",
        *("evaluate", "--smoke", "--baselines", "base", "--out", "out", "--phoenix", phoenix.url),
    )
    assert got.code == 0, got
    where = f"experiments in Phoenix: {phoenix.url}/datasets/{DATASET}/experiments"
    assert got.out.endswith(where + "\n")
    assert len(phoenix.runs) == 3
