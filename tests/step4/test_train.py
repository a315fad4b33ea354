"""Training: every method and kind of tuning learns, what it leaves behind, and how it stops and goes on."""

import dataclasses
import json
import os
from importlib.util import find_spec
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file
from trl.trainer import utils as trl_utils

from shared.errors import UserError
from shared.models import load_causal_lm, load_tokenizer
from step4_finetune.cli import show
from step4_finetune.models import merge
from step4_finetune.train import folder, peft_setup, preflight
from step4_finetune.train import run as training
from step4_finetune.train.trainers import ByLength
from step4_finetune.train.training_data import prepare
from tests.conftest import shown
from tests.step4 import runs
from tests.step4.samples import GUIDE, good, spoilt

ADAPTER = "adapter_model.safetensors"


def adapter(out):
    return load_file(out / ADAPTER)


def log_of(out):
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def equal(one, other, **close):
    assert one.keys() == other.keys()
    for name, each in one.items():
        torch.testing.assert_close(each, other[name], **(close or {"rtol": 0, "atol": 0}))


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """A finished run of the small recipe, to compare others with."""
    out = tmp_path_factory.mktemp("runs") / "unbroken"
    return out, runs.train(out, picture=True)


# --- every way learns -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "how"), [("sft", "qlora"), ("sft", "full"), ("dpo", "lora")])
def test_every_method_and_tuning_learns_and_leaves_a_whole_folder(tmp_path, method, how):
    if how == "qlora" and find_spec("bitsandbytes") is None:
        pytest.skip("pip install .[bitsandbytes]")
    rate = 5e-4 if how == "full" else 5e-3
    chosen = runs.recipe(method, how, epochs=4, sft={"learning_rate": rate}, dpo={"learning_rate": rate / 4})
    facts = runs.train(tmp_path / "run", chosen)
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert {"run.json", "log.jsonl", "loss.png"} <= names
    assert ({ADAPTER, "adapter_config.json"} <= names) == (how != "full")
    assert ("model.safetensors" in names) == (how == "full")
    assert facts["parameters"] == 106_816 + (0 if how == "full" else 16_384)
    assert not {"checkpoints", "ref", "README.md"} & names
    losses = [row["loss"] for row in log_of(tmp_path / "run")]
    assert len(losses) == 8
    assert sum(losses[-2:]) < sum(losses[:2])
    if method == "dpo":
        assert losses[0] == pytest.approx(0.6931, abs=1e-3)  # log 2: the reference is the model itself
    assert json.loads((tmp_path / "run" / "run.json").read_text()) == facts
    model = merge.load_tuned(runs.settings(), tmp_path / "run")
    base = load_causal_lm(settings=runs.settings())
    ids = torch.arange(5, 40)[None]
    with torch.no_grad():
        assert (model(ids).logits - base(ids).logits).abs().max() > 0.01
    assert model.config.use_cache


def test_facts_and_files_of_a_run(unbroken):
    out, facts = unbroken
    assert facts["trainable"] == 16_384  # r 16 on the seven matrices of one layer
    assert facts["parameters"] == 106_816 + 16_384
    assert (facts["rows"], facts["pairs"]) == (6, 6)
    assert facts["recipe"] == runs.recipe().model_dump()  # with every default
    assert "on 1 row and 6 pairs\n" in shown(show.train, {**facts, "rows": 1})
    assert set(facts["versions"]) == {"torch", "transformers", "peft", "trl", "datasets"}
    rows = log_of(out)
    assert [row["step"] for row in rows] == [1, 2, 3, 4]
    assert rows[-1]["loss"] == pytest.approx(facts["loss"][0])
    first, last = rows[0]["loss"], facts["loss"][0]
    assert f"loss {first:.2f} in the first step, {last:.2f} in the last\n" in shown(show.train, facts)
    assert (out / "loss.png").read_bytes().startswith(b"\x89PNG")
    config = json.loads((out / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "tiny"  # not a folder of this machine
    assert str(out) not in (out / "run.json").read_text()


def test_the_same_seed_gives_the_same_adapter_and_no_library_prints(unbroken, tmp_path, capfd, recwarn):
    runs.train(tmp_path / "again", picture=True)
    equal(adapter(tmp_path / "again"), adapter(unbroken[0]))
    assert capfd.readouterr() == ("", f"system message: {runs.SYSTEM}\ntraining again\n")
    assert not [each for each in recwarn if "step4_finetune" in each.filename]


def test_dpo_continues_from_an_earlier_adapter_which_is_its_reference(unbroken, tmp_path):
    data = dataclasses.replace(runs.lesson(replay=0), start=unbroken[0])
    facts = runs.train(tmp_path / "run", runs.recipe("dpo", epochs=1, dpo={"learning_rate": 1e-4}), data)
    assert facts["start"] == str(unbroken[0])
    assert log_of(tmp_path / "run")[0]["loss"] == pytest.approx(0.6931, abs=1e-3)
    equal(adapter(tmp_path / "run"), adapter(unbroken[0]), rtol=0, atol=1e-3)


def test_an_adapter_of_the_same_base_is_trained_further_in_its_own_shape(unbroken, tmp_path, recwarn):
    wide = {"r": 8, "targets": ["q_proj"], "last_layers": None, "activated": True}
    before = runs.train(tmp_path / "start", runs.recipe(lora=wide, sft={"replay": 0}), runs.lesson(replay=0))
    further = dataclasses.replace(runs.lesson(), start=tmp_path / "start")
    facts = runs.train(tmp_path / "run", None, further)
    assert (facts["trainable"], "lora" in facts["recipe"]) == (before["trainable"], False)
    assert not [each for each in recwarn if "remote file" in str(each.message)]  # nothing is asked of the hub
    start, end = (
        json.loads((tmp_path / name / "adapter_config.json").read_text()) for name in ("start", "run")
    )
    assert {key for key in start if start[key] != end[key]} == {"alora_invocation_tokens"}  # by the recipe
    first, last = adapter(tmp_path / "start"), adapter(tmp_path / "run")
    assert first.keys() == last.keys()
    assert not any(torch.equal(first[name], each) for name, each in last.items())
    config = tmp_path / "start" / "adapter_config.json"
    config.write_text(config.read_text().replace('"tiny"', '"org/other"'))
    with pytest.raises(UserError, match="was trained on org/other, not on tiny"):
        prepare(runs.settings(), runs.recipe(), good(), GUIDE, start=tmp_path / "start")
    with pytest.raises(
        UserError, match="--from continues with an adapter: its recipe needs tuning lora or qlora"
    ):
        prepare(runs.settings(), runs.recipe(tuning="full"), good(), GUIDE, start=unbroken[0])
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "config.json").write_text("{}")
    with pytest.raises(UserError, match=r"full is not an adapter: it has no adapter_config\.json"):
        prepare(runs.settings(), runs.recipe(), good(), GUIDE, start=tmp_path / "full")


# --- stopped, and on again --------------------------------------------------------------------------------


def test_a_stopped_run_resumes_with_the_same_data_only_and_ends_as_an_unbroken_one(
    unbroken, tmp_path, monkeypatch, capsys
):
    out, same = tmp_path / "run", runs.lesson()
    with monkeypatch.context() as patch:
        runs.press_ctrl_c(patch, step=1)  # in the middle of an epoch
        with pytest.raises(KeyboardInterrupt, match=r"step 1 of 4 of sft.*same command continues") as stopped:
            runs.train(out)
    assert f"{stopped.value}\n" in capsys.readouterr().err
    assert not (out / "run.json").exists()
    assert [row["step"] for row in log_of(out)] == [1]
    for recipe, lesson, says in (
        (runs.recipe(epochs=3), same, "another recipe"),
        (None, runs.lesson(5), "another data"),
        (None, runs.lesson(replay=1), "another replay"),
        (None, dataclasses.replace(same, start=out), r"another start \(--from\)"),
    ):
        with pytest.raises(UserError, match=f"a stopped run of {says}"):
            runs.train(out, recipe, lesson)
    begun = out / folder.BEGUN
    whole = begun.read_text()
    for text in ("{}", whole[:99]):  # of an older version, and cut by a full disk
        begun.write_text(text)
        with pytest.raises(UserError, match="a stopped run of another recipe: name another --out, or take"):
            runs.train(out)
    begun.write_text(whole)
    runs.train(out)
    assert [row["step"] for row in log_of(out)] == [1, 2, 3, 4]
    equal(adapter(out), adapter(unbroken[0]), rtol=1e-4, atol=1e-6)
    assert not (out / "checkpoints").exists()


def test_a_checkpoint_that_was_not_written_to_its_end_is_left_out(tmp_path):
    assert folder.last_checkpoint(tmp_path / "none") is None
    for age, (step, text) in enumerate({"4": '{"global_step": 4}', "12": '{"glob', "8": None}.items()):
        checkpoint = tmp_path / f"checkpoint-{step}"
        checkpoint.mkdir()
        if text:
            (checkpoint / "trainer_state.json").write_text(text)
            os.utime(checkpoint / "trainer_state.json", (age, age))
    assert folder.last_checkpoint(tmp_path) == str(tmp_path / "checkpoint-4")
    (tmp_path / "checkpoint-12" / "trainer_state.json").write_text("{}")
    assert folder.last_checkpoint(tmp_path) == str(tmp_path / "checkpoint-12")


def test_existing_files_are_not_overwritten(unbroken, tmp_path):
    with pytest.raises(UserError, match=r"finished run: name another --out, or take --fresh"):
        runs.train(unbroken[0])
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_text("meow")
    (tmp_path / "file").write_text("text")
    for name in ("photos", "file"):
        with pytest.raises(UserError, match="is not empty and holds no run"):
            runs.train(tmp_path / name)
        with pytest.raises(UserError, match="is not empty and holds no run"):
            runs.train(tmp_path / name, fresh=True)
    assert (tmp_path / "photos" / "cat.jpg").exists()


def test_a_folder_takes_one_run_at_a_time(tmp_path):
    out = tmp_path / "run"
    with folder.begin(out, {}):
        for fresh in (False, True):
            with pytest.raises(UserError, match="another process is training in"):
                folder.begin(out, {}, fresh=fresh)
    with folder.begin(out, {}, fresh=True):
        assert (out / folder.BEGUN).exists()


# --- what cannot be trained -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("recipe", "n", "says"),
    [
        ({"max_length": 64}, 6, r"6 rows are over max_length 64 tokens \(kettle-1, .*max_length: \d+"),
        ({"max_length": 64}, 1, "1 row is over max_length 64 tokens"),
        ({"lora": {"targets": ["c_attn"]}}, 6, "the model has no c_attn: use some of down_proj, gate_proj"),
    ],
)
def test_a_refused_run_writes_nothing_and_removes_nothing(unbroken, tmp_path, recipe, n, says):
    with pytest.raises(UserError, match=says):
        runs.train(tmp_path / "run", runs.recipe(**recipe), runs.lesson(n))
    assert not (tmp_path / "run").exists()
    with pytest.raises(UserError, match=says):
        runs.train(unbroken[0], runs.recipe(**recipe), runs.lesson(n), fresh=True)
    assert adapter(unbroken[0])


def test_fresh_does_not_remove_what_from_names(unbroken):
    data = dataclasses.replace(runs.lesson(), start=unbroken[0])
    with pytest.raises(UserError, match=r"--fresh would remove .*, which --from names: name another --out"):
        runs.train(unbroken[0], None, data, fresh=True)
    assert adapter(unbroken[0])


def test_fresh_removes_only_what_a_run_wrote(tmp_path):
    out = tmp_path / "run"
    runs.train(out, runs.recipe(epochs=1))
    (out / "thesis.md").write_text("four years")
    (out / "README.md").write_text("my card")
    runs.train(out, runs.recipe(epochs=1), fresh=True)
    assert (out / "thesis.md").read_text() == "four years"
    assert (out / "README.md").read_text() == "my card"
    names = json.loads((out / "run.json").read_text())["files"]
    assert sorted(path.name for path in out.iterdir()) == sorted([*names, "README.md", "thesis.md"])


def test_a_run_json_of_another_program_is_no_run(tmp_path):
    (tmp_path / "run.json").write_text('{"command": "laps", "files": ["thesis.md"]}')
    (tmp_path / "thesis.md").write_text("four years")
    with pytest.raises(UserError, match="is not empty and holds no run"):
        runs.train(tmp_path, fresh=True)
    assert (tmp_path / "thesis.md").exists()


def no_gradient(each, name):
    if "lora_A" in name:
        each.requires_grad_(False)
        each.zero_()


def no_number(each, name):
    if "lora_B" in name:
        each.data.fill_(float("inf"))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (no_gradient, "trainable tensors get no gradient"),
        (no_number, r"the loss is nan at step 1: take a smaller learning_rate"),
    ],
)
def test_runs_without_gradients_or_with_nan_losses_stop(tmp_path, monkeypatch, change, says):
    plain = peft_setup.prepare

    def broken(*args):
        model = plain(*args)
        for name, each in model.named_parameters():
            change(each, name)
        return model

    monkeypatch.setattr(training.peft_setup, "prepare", broken)
    with pytest.raises(UserError, match=says):
        runs.train(tmp_path / "run")


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (MemoryError(), "out of memory: take a smaller batch_size"),
        (RuntimeError("can't allocate memory"), "out of memory: take a smaller batch_size"),
        (OSError(28, "No space left on device"), "cannot be written .*: make room, and the same command"),
        (RuntimeError("unexpected pos 64 vs 0; file write failed"), "cannot be written .*: make room"),
    ],
)
def test_full_memory_and_full_disks_are_one_line(tmp_path, error, says):
    with pytest.raises(UserError, match=says), preflight.in_one_line(tmp_path):
        raise error


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="run cannot be written"):
        folder.begin(tmp_path / "file" / "run", {})


def test_rows_of_similar_length_come_together_and_by_seed_and_epoch():
    lengths = list(range(1000))
    sampler = ByLength(lengths, 8, seed=0)
    first = list(sampler)
    assert sorted(first) == lengths
    assert list(ByLength(lengths, 8, seed=0)) == first != list(ByLength(lengths, 8, seed=1))
    assert max(max(first[at : at + 8]) - min(first[at : at + 8]) for at in range(8, 1000 - 8, 8)) < 250
    sampler.set_epoch(1)
    assert list(sampler) != first
    sampler.set_epoch(0)
    assert list(sampler) == first


# --- what is learnt from ----------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["tiny", pytest.param(None, marks=pytest.mark.real)])
def test_tokens_of_the_rows_are_those_of_trl(tmp_path, model):
    tokenizer, lesson = load_tokenizer(model), runs.lesson(replay=0)
    own = [(each["input_ids"], each["completion_mask"]) for each in lesson.tokens(tokenizer)]
    by_trl = runs.by_trl("sft", lesson.rows, tokenizer, tmp_path).train_dataset
    assert own == [(row["input_ids"], [int(label != -100) for label in row["labels"]]) for row in by_trl]
    for (ids, mask), row in zip(own, lesson.rows, strict=True):
        learnt = tokenizer.decode([token for token, learn in zip(ids, mask, strict=True) if learn])
        assert learnt.rstrip() == f"{row.chosen}{tokenizer.eos_token}"


@pytest.fixture
def scored(monkeypatch):
    """How many positions TRL's head is asked to score, call by call."""
    heads, plain = [], trl_utils._ChunkedLogProbFunction.apply

    def apply(hidden, *more):
        heads.append(len(hidden))
        return plain(hidden, *more)

    monkeypatch.setattr(trl_utils, "_ChunkedLogProbFunction", SimpleNamespace(apply=apply))
    return heads


def test_only_replies_are_scored_with_the_same_loss_and_gradients(tmp_path, monkeypatch, scored):
    settings, recipe = runs.settings(), runs.recipe()
    torch.manual_seed(0)
    model, tokenizer = peft_setup.prepare(settings, recipe), load_tokenizer(settings=settings)
    with torch.no_grad():
        for name, each in model.named_parameters():
            if "lora_B" in name:
                each.normal_(std=0.1)  # else A would have no gradient
    trainer = training.trainers.build(model, tokenizer, runs.lesson(replay=3), recipe, tmp_path)
    batch = next(iter(trainer.get_train_dataloader()))

    def gradients():
        model.zero_grad()
        torch.manual_seed(0)  # of the dropout
        loss = trainer.compute_loss(model, dict(batch))
        loss.backward()
        return float(loss.detach()), {
            n: p.grad.clone() for n, p in model.named_parameters() if p.requires_grad
        }

    loss, found = gradients()
    monkeypatch.setattr(trl_utils, "_use_triton", lambda _device: False)  # TRL's own answer on a CPU
    its_loss, expected = gradients()
    labels = batch["labels"][:, 1:]
    assert scored == [int((labels != -100).sum()), labels.numel()]
    assert scored[0] < 0.8 * scored[1]
    assert loss == pytest.approx(its_loss, abs=1e-5)
    assert any(each.abs().max() > 1e-3 for each in found.values())
    equal(found, expected, rtol=1e-5, atol=1e-5)


def test_dpo_takes_the_rows_with_a_rejected_reply():
    rows = [spoilt(good()[0], rejected=None), *good()[1:]]
    data = prepare(runs.settings(), runs.recipe("dpo"), rows, GUIDE)
    assert data.pairs == [row for row in rows[1:] if row.split == "train"]
