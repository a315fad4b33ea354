"""Activated adapters: what calls one, that without the call nothing is changed, and what can't be called."""

import json

import pytest
import torch

from shared.errors import UserError
from shared.models import load_causal_lm, load_tokenizer
from step4_finetune.models import invocation, merge
from step4_finetune.models.chat import prompt_ids
from step4_finetune.models.generate import replies
from step4_finetune.train.training_data import TrainingData
from tests.step4 import runs

ACTIVATED = {"last_layers": 1, "activated": True}


def under(system, said="Where is my parcel?"):
    return [*([{"role": "system", "content": system}] if system else []), {"role": "user", "content": said}]


@pytest.fixture(scope="module")
def tokenizer():
    return load_tokenizer("tiny")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("activated") / "run"
    runs.train(out, runs.recipe(sft={"replay": 0}, lora=ACTIVATED), runs.lesson(replay=0))
    return out


def test_every_prompt_under_the_system_message_begins_with_the_invocation(tokenizer):
    call = invocation.invocation_tokens(tokenizer, [under(runs.SYSTEM)])
    assert runs.SYSTEM in tokenizer.decode(call)
    for said in ("Where?", "\nWhere?", "\n\n\nWhere?", " Where?", "", "you", "🙂"):
        assert prompt_ids(tokenizer, under(runs.SYSTEM, said))[: len(call)] == call
        for other in ("", "You answer members.", f"{runs.SYSTEM} Be brief.", runs.SYSTEM.lower()):
            ids = prompt_ids(tokenizer, under(other, f"{runs.SYSTEM}{said}"))
            assert not any(ids[at : at + len(call)] == call for at in range(len(ids)))


@torch.inference_mode()
def test_without_the_invocation_it_is_the_base_and_with_it_the_merged_model(run, tokenizer):
    config = json.loads((run / "adapter_config.json").read_text())  # PEFT's own key
    assert config["alora_invocation_tokens"] == invocation.invocation_tokens(tokenizer, [under(runs.SYSTEM)])
    settings = runs.settings()
    base, tuned = load_causal_lm(settings=settings), merge.load_tuned(settings, run)
    merged = merge.merged(settings, run)
    for system in ("", "You answer members."):
        ids = torch.tensor([prompt_ids(tokenizer, under(system))])
        assert torch.equal(tuned(input_ids=ids).logits, base(input_ids=ids).logits)
        assert not torch.allclose(merged(input_ids=ids).logits, base(input_ids=ids).logits, atol=1e-3)
    ids = torch.tensor([prompt_ids(tokenizer, under(runs.SYSTEM))])
    assert torch.allclose(tuned(input_ids=ids).logits, merged(input_ids=ids).logits, atol=1e-4)
    assert not torch.allclose(tuned(input_ids=ids).logits, base(input_ids=ids).logits, atol=1e-3)


def test_replies_in_one_batch_each_by_its_own_system_message(run, tokenizer):
    settings = runs.settings()
    tuned, merged = merge.load_tuned(settings, run), merge.merged(settings, run)
    asked = [under(runs.SYSTEM), under("", "What is the capital of Norway, and what of Sweden?")]
    got = [each.text for each in replies(tuned, tokenizer, asked, 12)]
    base = load_causal_lm(settings=settings)
    assert got == [
        replies(model, tokenizer, [p], 12)[0].text for model, p in zip((merged, base), asked, strict=True)
    ]


def test_prompts_without_one_fixed_system_message_are_refused_with_a_way_out(tokenizer, monkeypatch):
    def refusal(*systems):
        with pytest.raises(UserError) as caught:
            invocation.invocation_tokens(tokenizer, [under(each) for each in systems])
        assert "--recipe replay" in str(caught.value)
        return str(caught.value)

    for systems in ([""], ["One.", "Two."], ["One.", ""], ["", "One."]):
        assert "the same system message in all rows" in refusal(*systems)
    monkeypatch.setattr(tokenizer, "chat_template", "{{ strftime_now('%d %b') }}{{ messages }}")
    assert "today's date" in refusal("One.")


def test_a_run_refuses_such_rows_before_it_begins(tmp_path):
    with pytest.raises(UserError, match="the same system message in all rows"):
        runs.train(tmp_path / "run", runs.recipe(lora=ACTIVATED), TrainingData(runs.rows(), ""))
    assert not (tmp_path / "run").exists()
