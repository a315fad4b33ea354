"""The DPO loss by hand is TRL's, value and gradient, and does to the replies what it says."""

import json
import math
from dataclasses import replace

import pytest
import torch

from shared import models
from shared.config import load_settings
from shared.errors import UserError
from step4_finetune.by_hand import dpo as lesson
from step4_finetune.by_hand.dpo_loss import dpo, encode, log_probs, pull
from step4_finetune.cli import show
from step4_finetune.data.rows import read_rows
from step4_finetune.train.trainers import quiet_trl
from step4_finetune.train.training_data import TrainingData
from tests.step4.samples import reply, shown

SYSTEM = "You answer for Northwind Care."
ROWS = [  # message, what is said, how not
    ("my kettle is broken", "We will repair the kettle.", "Hey! We'll fix that kettle."),
    ("where is my lamp?", "We will trace the lamp today.", "No idea, maybe it comes soon?"),
    ("the code fails", "We will send a code. Please wait.", "Oops, try again."),
]


@pytest.fixture
def file(tmp_path):
    rows = [
        {"id": f"row-{n}", "prompt": prompt, "chosen": reply(said), "rejected": bad}
        for n, (prompt, said, bad) in enumerate(ROWS)
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def by_trl(policy, tokenizer, rows, beta, out):
    """TRL's DPOTrainer on the same pairs, to compute its loss only."""
    datasets, trl = quiet_trl()
    settings = {"use_cpu": True, "bf16": False, "report_to": "none", "disable_tqdm": True}
    settings |= {"gradient_checkpointing": False, "max_length": None}
    return trl.DPOTrainer(
        model=policy,
        args=trl.DPOConfig(output_dir=str(out), beta=beta, **settings),
        train_dataset=datasets.Dataset.from_list(TrainingData(rows, SYSTEM, pairs=rows).preferences()),
        processing_class=tokenizer,
    )


def test_by_hand_is_trls_value_and_gradient(file, tmp_path):
    rows, tokenizer = read_rows(file), models.load_tokenizer("tiny")
    policy = lesson.adapted(models.load_causal_lm("tiny", dtype="float32"), seed=0).double()
    batch = encode(tokenizer, rows, SYSTEM)
    trainer = by_trl(policy, tokenizer, rows, beta=0.3, out=tmp_path)
    theirs = trainer.data_collator(list(trainer.train_dataset))
    assert torch.equal(batch.ids, theirs["input_ids"])
    assert torch.equal(batch.attention, theirs["attention_mask"])
    assert torch.equal(batch.completion, theirs["completion_mask"])

    with torch.no_grad():
        reference = log_probs(policy, batch)
        for name, each in policy.named_parameters():
            if each.requires_grad and "lora_B" in name:
                each.normal_(std=0.1)  # away from the reference

    def gradient(loss):
        policy.zero_grad()
        loss.backward()
        return {name: each.grad.clone() for name, each in policy.named_parameters() if each.requires_grad}

    own = dpo(log_probs(policy, batch), reference, beta=0.3).loss.mean()
    other = trainer.compute_loss(policy, theirs)
    assert abs(own.item() - math.log(2)) > 0.1
    torch.testing.assert_close(own, other)
    own, other = gradient(own), gradient(other)
    assert any(each.any() for each in own.values())
    for name, each in other.items():  # in float32, all entries have the accuracy of the largest
        torch.testing.assert_close(own[name], each, atol=1e-5 * each.abs().max().item(), rtol=0)


def test_chosen_is_pulled_up_as_hard_as_rejected_is_pushed_down():
    reference = torch.tensor([-10.0, -20.0, -12.0, -15.0])  # two chosen, two rejected
    policy = torch.tensor([-9.0, -25.0, -14.0, -15.0], requires_grad=True)
    found = dpo(policy, reference, beta=0.5)
    assert found.margin.tolist() == [1.5, -2.5]
    found.loss.sum().backward()
    strength = pull(found.margin.detach(), 0.5)
    torch.testing.assert_close(policy.grad, torch.cat([-strength, strength]))
    assert strength[1] > strength[0]  # where the model is wrong, the pull is harder
    assert float(dpo(reference, reference, 0.5).loss[0]) == pytest.approx(math.log(2))


def test_the_command_moves_the_margin(file):
    facts = lesson.run(load_settings(model="tiny"), read_rows(file), SYSTEM)
    assert facts["losses"][0] == pytest.approx(math.log(2))
    assert facts["losses"] == sorted(facts["losses"], reverse=True)
    for pair in facts["pairs"]:
        moved = [pair[kind]["policy"] - pair[kind]["reference"] for kind in ("chosen", "rejected")]
        assert pair["margin"] == pytest.approx(0.1 * (moved[0] - moved[1]), abs=1e-4)
        assert pair["loss"] == pytest.approx(-math.log(1 / (1 + math.exp(-pair["margin"]))), abs=1e-5)
    assert "row-0" in (text := shown(show.dpo, {**facts, "steps": 1}))
    assert text.startswith("after 1 step of DPO")


@pytest.mark.parametrize("options", [{"beta": 0}, {"beta": math.inf}, {"beta": math.nan}, {}])
def test_numbers_and_rows_that_do_not_work_are_refused(file, options):
    rows = [replace(row, rejected=row.rejected if options else None) for row in read_rows(file)]
    with pytest.raises(UserError, match="a finite number above 0" if options else "prompt, chosen, rejected"):
        lesson.run(load_settings(model="tiny"), rows, **options)
