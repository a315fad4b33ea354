"""A user's mistake ends in one line that says what is allowed."""

import json
import shutil
from pathlib import Path

import pytest

from shared.models import weights

PACKAGE = "step1_foundations"


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["generate", "  \n "], "the text is empty"),
        (["generate", "x" * 2048, "--raw"], "2,048 tokens long: use 1 to 2,047"),  # no room for an answer
        (["generate", "--top-p", "0"], "--top-p 0.0 is not allowed: use more than 0"),
        (["generate", "--top-p", "1.1"], "--top-p 1.1 is not allowed"),
        (["generate", "--top-k", "-1"], "--top-k -1 is not allowed: use 0 (off) or more"),
        (["generate", "--temperature", "nan"], "--temperature nan is not allowed: use 0 (greedy), or 0.01"),
        (["generate", "--repetition-penalty", "1e-300"], "1e-300 is not allowed: use 0.01 to 100 (1 is off)"),
        (["generate", "--max-new-tokens", "0"], "Invalid value for '--max-new-tokens'"),
        (["generate", "--quantize", "int4"], "'int4' is not one of 'int8'"),
        (["generate", "--seed", "9" * 23], "a whole number from 0 to 2**63 - 1"),
        (["generate", "--model", "claude-sonnet-5-5"], "runs at Anthropic"),
        (["tokens", "mine", "--languages"], "--languages counts sentences of its own: leave out the text"),
        (["next", "--top-k", "0"], "use 1 to 512"),
        (["embeddings", "--words", "dog,,cat"], "the word is empty"),
        (["attention", "one"], "tokens long: use 3 to 512"),
        (["attention", "--layer", "2"], "--layer 2 does not exist: this model has layers 0 to 1"),
        (["attention", "--out", "file/a.png"], "cannot write file"),
        (["logit-lens", "--out", "picture.jpg"], "use one that ends in .png"),
        (["bench", "--pairs", "4"], "Invalid value for '--pairs'"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_bad_input_ends_in_one_line(refused, tmp_path, args, says):
    (tmp_path / "file").write_text("")
    assert says in refused(PACKAGE, *args, "--smoke")


def own_copy(folder):
    """The tiny model in a folder of one's own."""
    return str(shutil.copytree(weights.ensure("tiny"), folder))


def test_missing_weights_are_not_made_up(refused, tmp_path):
    """transformers fills what is missing with random numbers, and says so only in its log."""
    folder = own_copy(tmp_path / "mine")
    config = json.loads((tmp_path / "mine" / "config.json").read_text())
    (tmp_path / "mine" / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 3}))
    assert "the weights lack 9 tensors" in refused(PACKAGE, "next", "hello world", "--model", folder)
    (tmp_path / "mine" / "config.json").write_text(json.dumps(config | {"hidden_size": 32, "head_dim": 8}))
    assert "have different shapes" in refused(PACKAGE, "next", "hello world", "--model", folder)


def test_what_users_type_is_printed_as_it_is(command, tmp_path):
    """Brackets are no markup, emoji codes no emoji; bytes that are not UTF-8 become ?."""
    folder = own_copy(tmp_path / "[red]x")
    got = command(PACKAGE, "Hello [/x] \udcff", "--model", folder, "--max-new-tokens", "2")
    assert got.code == 0
    assert "[red]x" in got.out
    got = command(PACKAGE, "attention", "a [/b] c [bold]", "--smoke", "--out", "new[x]/a.png")
    assert (got.code, str(Path("new[x]/a.png")) in got.out) == (0, True)
    got = command(PACKAGE, "merges", "a :cat:", "--word", ":cat:", "--n", "1").out
    assert ":cat:" in got.replace(" | ", "")
    assert command(PACKAGE, "tokens", "--smoke", "--", "-5").code == 0  # looks like an option
