"""Whatever a user gets wrong ends in one line that says what is allowed. Also: nothing is half done."""

import json
import os
import shutil
from pathlib import Path

import pytest

from shared.models import load_causal_lm

PACKAGE = "step1_foundations"


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["generate", ""], "the prompt is empty"),
        (["generate", "  \n "], "the prompt is empty"),
        (["generate", "x " * 3000], "tokens long, more than the 2047 that fit"),
        (["generate", "--top-p", "0"], "--top-p 0.0 is not allowed: use more than 0"),
        (["generate", "--top-p", "1.5"], "more than 0, up to 1"),
        (["generate", "--top-k", "-1"], "--top-k -1 is not allowed"),
        (["generate", "--temperature", "-0.1"], "--temperature -0.1 is not allowed"),
        (["generate", "--temperature", "1e-45"], "use 0 (greedy), or 0.01 to 100"),
        (["generate", "--temperature", "nan"], "--temperature nan is not allowed"),
        (["generate", "--temperature", "hot"], "--temperature"),
        (["generate", "--repetition-penalty", "0"], "--repetition-penalty"),
        (["generate", "--max-new-tokens", "0"], "Invalid value for '--max-new-tokens'"),
        (["generate", "--quantize", "int4"], "--quantize int4 is not known: use int8"),
        (["generate", "--threads", "none"], "threads = 'none' (flag --threads) is not allowed"),
        (["generate", "--device", "tpu"], "use auto, cpu, cuda or mps"),
        (["genrate"], "Did you mean 'generate'?"),
        (["tokens", ""], "the text is empty"),
        (["tokens", "--compare", "nonsense"], "unknown model 'nonsense'"),
        (["next", ""], "the text is empty"),
        (["next", "--top-k", "0"], "use 1 to 512"),
        (["perplexity", "missing.jsonl"], "no such file"),
        (["perplexity", "texts.doc"], "use a file that ends in"),
        (["perplexity", "broken.jsonl"], "cannot be read"),
        (["perplexity", "columns.jsonl"], "has no column text: it has words"),
        (["perplexity", "empty.jsonl"], "empty.jsonl"),
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
        (["attention", "--out", "texts.doc/a.png"], "cannot write texts.doc"),
        (["block", "--layer", "-3"], "--layer -3 does not exist"),
        (["block", ""], "the text is empty"),
        (["logit-lens", ""], "the text is empty"),
        (["logit-lens", "--out", "folder.png"], "cannot write folder.png"),
        (["logit-lens", "--out", "picture.jpg"], "use one that ends in .png"),
        (["logit-lens", "--out", "a" * 300 + ".png"], "cannot write aaa"),
        (["generate", "\udcff\udcfe"], "the prompt is not valid UTF-8"),
        (["embeddings", "\udcff"], "the word is not valid UTF-8"),
        (["generate", "--model", ""], "unknown model ''"),
        (["generate", "--model", "x" * 300], "is neither a name nor a folder"),
        (["generate", "--seed", "9" * 23], "a whole number from 0 to 2**63 - 1"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_bad_input_ends_in_one_line(refused, tmp_path, args, says):
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "texts.doc").write_text("text")
    (tmp_path / "broken.jsonl").write_text('{"text": ')
    (tmp_path / "columns.jsonl").write_text(json.dumps({"words": "hello"}))
    (tmp_path / "empty.jsonl").write_text("")
    assert says in refused(PACKAGE, *args, "--smoke")


def test_a_text_without_tokens_is_refused(refused, monkeypatch):
    monkeypatch.setattr("step1_foundations.tokens.split", lambda *_: [])  # as BERT's does for \x01
    assert "makes no tokens" in refused(PACKAGE, "tokens", "\x01", "--smoke")


def test_a_bench_that_cannot_load_says_so_in_one_line(refused):
    assert "device" in refused(PACKAGE, "bench", "--device", "mps", "--smoke")


def test_a_cache_that_cannot_be_written_is_named(refused, monkeypatch, tmp_path, tiny_cache):
    (tmp_path / "texts.txt").write_text("the cat sat\n")
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "datasets").write_text("a file in the way")
    monkeypatch.setenv("ROADMAP_CACHE_DIR", str(tmp_path / "cache"))
    assert "texts.txt cannot be read" in refused(PACKAGE, "perplexity", "texts.txt", "--smoke")


def test_emoji_codes_stay_as_they_are(command):
    assert ":cat:" in command(PACKAGE, "merges", "a :cat:", "--word", ":cat:", "--n", "1").out.replace(
        " | ", ""
    )


def test_no_merges_are_refused(refused):
    assert "Invalid value for '--n'" in refused(PACKAGE, "merges", "--n", "0")


@pytest.mark.skipif(os.name == "nt", reason="Windows makes a path of any user's name")
def test_the_folder_of_an_unknown_user_is_refused(refused):
    assert "is neither a name nor a folder" in refused(PACKAGE, "generate", "--model", "~nobody-here/x")


def test_an_unknown_model_lists_the_known_and_the_nearest(refused):
    said = refused(PACKAGE, "Hello", "--model", "smollm2-135m-instuct")
    assert "did you mean smollm2-135m-instruct?" in said
    assert "tiny" in said


def test_claude_has_no_layers_to_look_into(refused):
    assert "runs at Anthropic" in refused(PACKAGE, "block", "--model", "claude-sonnet-5-5")


def test_a_prompt_that_fills_the_context_leaves_no_room_to_write(refused):
    assert "more than the 2047 that fit" in refused(PACKAGE, "generate", "x" * 2048, "--raw", "--smoke")


def broken_copy(tiny_cache, folder, **files):
    """The tiny model in a folder of one's own, with some files replaced by other text."""
    load_causal_lm("tiny")
    shutil.copytree(next((tiny_cache / "models" / "tiny").glob("built-*")), folder)
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(content)
    return str(folder)


def test_missing_weights_are_not_made_up(refused, tiny_cache, tmp_path):
    """transformers fills what is missing with random numbers, and says so only in its log."""
    folder = broken_copy(tiny_cache, tmp_path / "mine")
    config = json.loads((tmp_path / "mine" / "config.json").read_text())
    (tmp_path / "mine" / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 3}))
    assert "the weights lack 9 tensors" in refused(PACKAGE, "next", "hello world", "--model", folder)
    (tmp_path / "mine" / "config.json").write_text(json.dumps(config | {"hidden_size": 32, "head_dim": 8}))
    assert "have different shapes" in refused(PACKAGE, "next", "hello world", "--model", folder)


@pytest.mark.parametrize("template", ["{% for %}", "{{ raise_exception('no system message') }}"])
def test_a_chat_template_that_fails_is_named(refused, tiny_cache, tmp_path, template):
    folder = broken_copy(tiny_cache, tmp_path / "mine", chat_template__jinja=template)
    assert "chat template fails" in refused(PACKAGE, "Hello", "--model", folder)


def test_brackets_in_names_are_no_markup(command, tiny_cache, tmp_path):
    folder = broken_copy(tiny_cache, tmp_path / "[red]x")
    got = command(PACKAGE, "Hello [/x]", "--model", folder, "--max-new-tokens", "2")
    assert got.code == 0
    assert "[red]x" in got.out
    got = command(PACKAGE, "attention", "a [/b] c [bold]", "--smoke", "--out", "new[x]/a.png")
    assert (got.code, str(Path("new[x]/a.png")) in got.out) == (0, True)
    (tmp_path / "[x].txt").write_text("the cat sat\n")
    assert command(PACKAGE, "perplexity", "[x].txt", "--smoke").code == 0


def test_an_option_that_looks_like_a_number_is_text(command):
    assert command(PACKAGE, "tokens", "--smoke", "--", "-5").code == 0
