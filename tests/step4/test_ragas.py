"""Ragas on a report of `evaluate`: a stand-in for the library, whose BLEU has the fault of the real one.

Ragas itself lives in an environment of its own, where this script runs.
"""

import json
import runpy
import sys
from types import ModuleType, SimpleNamespace

from step4_finetune.evaluate import ragas_scores


class Same:
    def score(self, *, response, reference):
        return SimpleNamespace(value=float(response == reference))


class BleuScore:
    """As Ragas 0.4.3: it cuts at ". ", and looks at the first part only (issue 2888)."""

    def score(self, *, response, reference):
        return SimpleNamespace(value=float(response.split(". ")[0] in reference.split(". ")))


def test_each_system_and_the_rejected_replies_against_the_chosen_ones(tmp_path, monkeypatch, capsys):
    collections = ModuleType("ragas.metrics.collections")
    for name in ragas_scores.METRICS.values():
        setattr(collections, name, BleuScore if name == "BleuScore" else Same)
    metrics, ragas = ModuleType("ragas.metrics"), ModuleType("ragas")
    metrics.collections = collections
    for each in (ragas, metrics, collections):
        monkeypatch.setitem(sys.modules, each.__name__, each)

    def system(name, *texts):
        return {"name": name, "replies": [{"text": text} for text in texts]}

    facts = {
        "messages": [{"chosen": "One. Two.", "rejected": "Hey! Two."}, {"chosen": "Ä.", "rejected": "Ö!"}],
        "systems": [system("base", "One. No.", ""), system("tone", "One. Two.", "Ä.")],
    }
    path = tmp_path / "evaluate.json"
    path.write_text(json.dumps(facts), encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["ragas_scores.py", str(path)])
    runpy.run_path(ragas_scores.__file__, run_name="__main__")
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split("  ")[0] == "like the chosen reply"
    assert [line.split()[-4:] for line in lines] == [["0.00"] * 4, ["1.00"] * 4, ["0.00"] * 4]
    assert lines[-1].startswith("(the rejected replies)")
