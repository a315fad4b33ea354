"""Phoenix experiments: what the client is asked to send, and errors of servers."""

import json
import sys
from types import SimpleNamespace
from unittest.mock import create_autospec

import httpx
import pytest

from shared.errors import UserError
from step4_finetune.evaluate import phoenix_experiments

URL, KEY = "http://phoenix.example", "open sesame"
IDS = ("kettle-1", "kettle-2")


@pytest.fixture
def report(tmp_path):
    """What `evaluate --out` writes, of two systems and two messages."""

    def system(name, *replies):
        return {"name": name, "tuned": name == "tone", "replies": replies, "seconds_a_reply": 1.5}

    bad = {"text": "hey", "all_rules": False, "faithful": False, "both": None, "healthy": False}
    good = dict.fromkeys(phoenix_experiments.SHARES, True)
    tone = system("tone", {"text": "Dear one", **good}, {"text": "Dear two", **good})
    facts = {
        **{"company": "Northwind Care", "split": "dev", "model": "tiny", "machine": "a laptop"},
        "messages": [{"id": id_, "message": "Hm?", "notes": ["price: 5"], "chosen": "Yes."} for id_ in IDS],
        "systems": [system("base", bad, bad), tone],
    }
    path = tmp_path / "evaluate.json"
    path.write_text(json.dumps(facts), encoding="utf-8")
    return path


@pytest.fixture
def client(monkeypatch):
    """Phoenix' client with mocked resources that have the real signatures."""
    phoenix = pytest.importorskip("phoenix.client")
    real = phoenix.Client(base_url=URL)
    client = SimpleNamespace(
        datasets=create_autospec(real.datasets), experiments=create_autospec(real.experiments)
    )
    examples = [{"id": id_, "node_id": f"node {id_}"} for id_ in reversed(IDS)]
    dataset = SimpleNamespace(id="D1", version_id="v1", examples=examples)
    client.datasets.create_dataset.return_value = dataset
    client.experiments.create.side_effect = lambda **given: {"id": f"id of {given['experiment_name']}"}
    client.experiments.log_run.side_effect = lambda **given: {"id": given["output"]}
    monkeypatch.setattr(phoenix, "Client", lambda base_url: client)
    return client


def test_the_split_is_a_dataset_and_each_system_an_experiment_with_its_verdicts(client, report, capsys):
    phoenix_experiments.main(report, URL + "/")
    assert capsys.readouterr().out == f"{URL}/datasets/D1/experiments\n"
    dataset = client.datasets.create_dataset.call_args.kwargs
    assert dataset["name"] == "Northwind Care, dev"
    assert dataset["examples"][0] == {
        "id": "kettle-1",
        "input": {"message": "Hm?"},
        "output": {"reply": "Yes."},
        "metadata": {"notes": ["price: 5"]},
    }
    base, tone = (call.kwargs for call in client.experiments.create.call_args_list)
    assert (base["experiment_name"], tone["experiment_name"]) == ("base", "tone")
    assert tone["experiment_metadata"] == {"model": "tiny", "machine": "a laptop", "tuned": True}
    runs = [call.kwargs for call in client.experiments.log_run.call_args_list]
    assert [(run["experiment_id"], run["dataset_example_id"], run["output"]) for run in runs[2:]] == [
        ("id of tone", "node kettle-1", "Dear one"),
        ("id of tone", "node kettle-2", "Dear two"),
    ]
    verdicts = [call.kwargs for call in client.experiments.log_evaluation.call_args_list]
    found = {(each["experiment_run_id"], each["name"]): (each["score"], each["label"]) for each in verdicts}
    assert found["hey", "faithful"] == (0.0, "no")
    assert ("hey", "both") not in found  # it is unknown
    assert found["Dear two", "both"] == (1.0, "yes")


def test_a_server_gets_the_key_and_errors_are_one_line(report, tmp_path, monkeypatch):
    pytest.importorskip("phoenix.client")
    seen = []

    def answer(_self, request):
        seen.append(request.headers.get("authorization"))
        return httpx.Response(401 if len(seen) == 1 else 200, text="<html>welcome</html>")

    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", answer)
    monkeypatch.setenv("PHOENIX_API_KEY", KEY)
    for url in (URL, URL, "localhost", "http://[::1"):
        with pytest.raises(UserError, match=r"failed .*is `phoenix serve` running there"):
            phoenix_experiments.main(report, url)
    assert set(seen) == {f"Bearer {KEY}"}
    with pytest.raises(UserError, match=r"nowhere\.json is no evaluate\.json of `evaluate --out`"):
        phoenix_experiments.main(tmp_path / "nowhere.json", URL)
    monkeypatch.setitem(sys.modules, "phoenix.client", None)
    with pytest.raises(UserError, match=r"needs Phoenix' client: pip install \.\[phoenix\]"):
        phoenix_experiments.main(report, URL)
