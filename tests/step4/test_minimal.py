"""The one-page fine-tuning, whole, on the tiny model."""

import re

import pytest

from step4_finetune import minimal


def test_it_trains_and_scores_replies_before_and_after(monkeypatch, capsys):
    monkeypatch.setenv("ROADMAP_MODEL", "tiny")
    minimal.main(rows=8)
    line = re.match(r"rules kept: (\d\.\d\d) before, (\d\.\d\d) after, on 8 unseen", _printed(capsys))
    assert line, "no line with the scores"
    assert all(0 <= float(score) <= 1 for score in line.groups())


def test_only_the_adapter_learns(monkeypatch, capsys):
    trl = pytest.importorskip("trl")
    monkeypatch.setenv("ROADMAP_MODEL", "tiny")
    seen = {}
    train = trl.SFTTrainer.train

    def watched(self):
        seen["before"] = {name: value.detach().clone() for name, value in self.model.named_parameters()}
        train(self)
        seen["after"] = dict(self.model.named_parameters())

    monkeypatch.setattr(trl.SFTTrainer, "train", watched)
    minimal.main(rows=8)
    changed = {name for name, old in seen["before"].items() if not old.equal(seen["after"][name])}
    assert changed, "nothing was learned"
    assert all("lora_" in name for name in changed)


def _printed(capsys):
    out = capsys.readouterr().out
    return out[out.index("rules kept") :]
