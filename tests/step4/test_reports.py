"""A report of `evaluate` in other programs: Phoenix' experiments, and Ragas' similarities.

Ragas lives in an environment of its own, where its script runs: here is a stand-in for the library.
"""

import json
import runpy
import sys
from types import ModuleType, SimpleNamespace
from unittest.mock import create_autospec

import httpx
import pytest

from shared.errors import UserError
from step4_finetune.evaluate import phoenix_experiments, ragas_scores

URL, KEY = "http://phoenix.example", "open sesame"
IDS = ("kettle-1", "kettle-2")


@pytest.fixture
def report(tmp_path):
    """What `evaluate --out` writes, of two systems and two messages."""

    def system(name, *texts, **verdicts):
        replies = [{"text": text, **verdicts} for text in texts]
        return {"name": name, "tuned": name == "tone", "replies": replies, "seconds_a_reply": 1.5}

    bad = {"all_rules": False, "faithful": False, "reads": None, "good": None, "healthy": False}
    good = dict.fromkeys(phoenix_experiments.SHARES, True)
    asked = {"message": "Hm?", "notes": ["price: 5"]}
    facts = {
        **{"company": "Northwind Care", "split": "dev", "model": "tiny", "machine": "a laptop"},
        "messages": [
            {"id": IDS[0], **asked, "chosen": "One. Two.", "rejected": "Hey! Two."},
            {"id": IDS[1], **asked, "chosen": "Ä.", "rejected": "Ö!"},
        ],
        "systems": [system("base", "One. No.", "", **bad), system("tone", "One. Two.", "Ä.", **good)],
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
        "output": {"reply": "One. Two."},
        "metadata": {"notes": ["price: 5"]},
    }
    base, tone = (call.kwargs for call in client.experiments.create.call_args_list)
    assert (base["experiment_name"], tone["experiment_name"]) == ("base", "tone")
    assert tone["experiment_metadata"] == {"model": "tiny", "machine": "a laptop", "tuned": True}
    runs = [call.kwargs for call in client.experiments.log_run.call_args_list]
    assert [(run["experiment_id"], run["dataset_example_id"], run["output"]) for run in runs[2:]] == [
        ("id of tone", "node kettle-1", "One. Two."),
        ("id of tone", "node kettle-2", "Ä."),
    ]
    verdicts = [call.kwargs for call in client.experiments.log_evaluation.call_args_list]
    found = {(each["experiment_run_id"], each["name"]): (each["score"], each["label"]) for each in verdicts}
    assert found["One. No.", "faithful"] == (0.0, "no")
    assert ("One. No.", "good") not in found  # it is unknown
    assert found["Ä.", "good"] == (1.0, "yes")


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


class Same:
    def score(self, *, response, reference):
        return SimpleNamespace(value=float(response == reference))


class BleuScore:
    """As Ragas 0.4.3: it cuts at ". ", and looks at the first part only (issue 2888)."""

    def score(self, *, response, reference):
        return SimpleNamespace(value=float(response.split(". ")[0] in reference.split(". ")))


def test_each_system_and_the_rejected_replies_against_the_chosen_ones(report, monkeypatch, capsys):
    collections = ModuleType("ragas.metrics.collections")
    for name in ragas_scores.METRICS.values():
        setattr(collections, name, BleuScore if name == "BleuScore" else Same)
    metrics, ragas = ModuleType("ragas.metrics"), ModuleType("ragas")
    metrics.collections = collections
    for each in (ragas, metrics, collections):
        monkeypatch.setitem(sys.modules, each.__name__, each)
    monkeypatch.setattr(sys, "argv", ["ragas_scores.py", str(report)])
    runpy.run_path(ragas_scores.__file__, run_name="__main__")
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split("  ")[0] == "like the chosen reply"
    assert [line.split()[-4:] for line in lines] == [["0.00"] * 4, ["1.00"] * 4, ["0.00"] * 4]
    assert lines[-1].startswith("(the rejected replies)")
