"""Whatever a user gets wrong ends in one line that says what is allowed. Also: nothing is half done."""

import json
import shutil
from pathlib import Path

import pytest

from shared.models import load_causal_lm

PACKAGE = "step1_foundations"


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["generate", "  \n "], "the prompt is empty"),
        (["generate", "x " * 3000], "tokens long, more than the 2047 that fit"),
        (["generate", "x" * 2048, "--raw"], "more than the 2047 that fit"),  # no room for an answer
        (["generate", "--top-p", "0"], "--top-p 0.0 is not allowed: use more than 0"),
        (["generate", "--temperature", "hot"], "--temperature"),
        (["generate", "--max-new-tokens", "0"], "Invalid value for '--max-new-tokens'"),
        (["generate", "--quantize", "int4"], "'int4' is not one of 'int8'"),
        (["generate", "--threads", "none"], "threads = 'none' (flag --threads) is not allowed"),
        (["generate", "--device", "tpu"], "use auto, cpu, cuda or mps"),
        (["generate", "--seed", "9" * 23], "a whole number from 0 to 2**63 - 1"),
        (["generate", "--model", "claude-sonnet-5-5"], "runs at Anthropic"),
        (["genrate"], "Did you mean 'generate'?"),
        (["tokens", ""], "the text is empty"),
        (["tokens", "--compare", "nonsense"], "unknown model 'nonsense'"),
        (["next", "--top-k", "0"], "use 1 to 512"),
        (["perplexity", "missing.jsonl"], "missing.jsonl cannot be read: [Errno 2]"),
        (["perplexity", "broken.jsonl"], "broken.jsonl cannot be read"),
        (["perplexity", "columns.jsonl"], "columns.jsonl cannot be read: 'text'; it takes lines of text"),
        (["perplexity", "empty.jsonl"], "no text of two tokens or more"),
        (["embeddings", ""], "the word is empty"),
        (["embeddings", "#512"], "token #512 does not exist: ids go from #0 to #511"),
        (["embeddings", "#many"], "does not exist"),
        (["embeddings", "--top-k", "9999"], "use 1 to 511"),
        (["embeddings", "--words", "dog,,cat"], "the word is empty"),
        (["attention", "one"], "attention needs 3 or more"),
        (["attention", "--layer", "2"], "--layer 2 does not exist: this model has layers 0 to 1"),
        (["attention", "--head", "4"], "--head 4 does not exist: this model has heads 0 to 3"),
        (["attention", "--all", "--head", "1"], "leave out --layer and --head"),
        (["attention", "word " * 600], "more than the 512 that fit"),
        (["attention", "--out", "empty.jsonl/a.png"], "cannot write empty.jsonl"),
        (["block", "--layer", "-3"], "--layer -3 does not exist"),
        (["logit-lens", "--out", "folder.png"], "cannot write folder.png"),
        (["logit-lens", "--out", "picture.jpg"], "use one that ends in .png"),
        (["bench", "--device", "mps"], "device mps is not on this machine"),
        (["bench", "--pairs", "4"], "Invalid value for '--pairs'"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_bad_input_ends_in_one_line(refused, tmp_path, args, says):
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "broken.jsonl").write_text('{"text": ')
    (tmp_path / "columns.jsonl").write_text(json.dumps({"words": "hello"}))
    (tmp_path / "empty.jsonl").write_text("")
    assert says in refused(PACKAGE, *args, "--smoke")


def test_a_text_without_tokens_is_refused(refused, monkeypatch):
    monkeypatch.setattr("step1_foundations.tokens.split", lambda *_: [])  # as BERT's does for \x01
    assert "makes no tokens" in refused(PACKAGE, "tokens", "\x01", "--smoke")


def own_copy(tiny_cache, folder):
    """The tiny model in a folder of one's own."""
    load_causal_lm("tiny")
    shutil.copytree(next((tiny_cache / "models" / "tiny").glob("built-*")), folder)
    return str(folder)


def test_missing_weights_are_not_made_up(refused, tiny_cache, tmp_path):
    """transformers fills what is missing with random numbers, and says so only in its log."""
    folder = own_copy(tiny_cache, tmp_path / "mine")
    config = json.loads((tmp_path / "mine" / "config.json").read_text())
    (tmp_path / "mine" / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 3}))
    assert "the weights lack 9 tensors" in refused(PACKAGE, "next", "hello world", "--model", folder)
    (tmp_path / "mine" / "config.json").write_text(json.dumps(config | {"hidden_size": 32, "head_dim": 8}))
    assert "have different shapes" in refused(PACKAGE, "next", "hello world", "--model", folder)


@pytest.mark.parametrize("template", ["{% for %}", "{{ raise_exception('no system message') }}"])
def test_a_chat_template_that_fails_is_named(refused, tiny_cache, tmp_path, template):
    folder = own_copy(tiny_cache, tmp_path / "mine")
    (tmp_path / "mine" / "chat_template.jinja").write_text(template)
    assert "chat template fails" in refused(PACKAGE, "Hello", "--model", folder)


def test_what_users_type_is_printed_as_it_is(command, tiny_cache, tmp_path):
    """Brackets are no markup, emoji codes no emoji; bytes that are not UTF-8 become ?."""
    folder = own_copy(tiny_cache, tmp_path / "[red]x")
    got = command(PACKAGE, "Hello [/x] \udcff", "--model", folder, "--max-new-tokens", "2")
    assert got.code == 0
    assert "[red]x" in got.out
    got = command(PACKAGE, "attention", "a [/b] c [bold]", "--smoke", "--out", "new[x]/a.png")
    assert (got.code, str(Path("new[x]/a.png")) in got.out) == (0, True)
    got = command(PACKAGE, "merges", "a :cat:", "--word", ":cat:", "--n", "1").out
    assert ":cat:" in got.replace(" | ", "")
    assert command(PACKAGE, "tokens", "--smoke", "--", "-5").code == 0  # looks like an option
