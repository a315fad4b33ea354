"""The one-page fine-tuning, whole, on the tiny model."""

import re

import trl

from step4_finetune import minimal


def test_it_scores_replies_before_and_after_and_only_the_adapter_learns(monkeypatch, capsys):
    monkeypatch.setenv("ROADMAP_MODEL", "tiny")
    monkeypatch.setattr(minimal, "HELD_OUT", 2)
    seen = {}
    train = trl.SFTTrainer.train

    def watched(self):
        seen["before"] = {name: value.detach().clone() for name, value in self.model.named_parameters()}
        train(self)
        seen["after"] = dict(self.model.named_parameters())

    monkeypatch.setattr(trl.SFTTrainer, "train", watched)
    minimal.main(rows=8)
    out = capsys.readouterr().out
    line = re.search(r"^rules kept: (\d\.\d\d) before, (\d\.\d\d) after, on 2 unseen", out, re.MULTILINE)
    assert line, out
    assert all(0 <= float(score) <= 1 for score in line.groups())
    changed = {name for name, old in seen["before"].items() if not old.equal(seen["after"][name])}
    assert changed, "nothing was learned"
    assert all("lora_" in name for name in changed)
