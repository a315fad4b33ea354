import ast
import re
from pathlib import Path

import pytest

from shared.catalog import catalog, default, lookup
from shared.errors import UserError
from tests.conftest import ROOT


def test_every_model_names_its_source_and_its_licence_or_price():
    for spec in catalog().values():
        assert spec.context
        if spec.is_claude:
            assert spec.price.date
            assert spec.price.source
        else:
            assert spec.license == "Apache-2.0"
            assert spec.random or re.fullmatch(r"[0-9a-f]{40}", spec.hub.revision)
        if spec.wheel:
            assert re.fullmatch(r"[0-9a-f]{64}", spec.wheel.sha256)


def test_the_default_claude_is_one_that_the_sdk_lists_and_does_not_retire():
    pytest.importorskip("anthropic")
    from anthropic._data import DEPRECATED_MODELS
    from anthropic.types import model

    listed = re.findall(r"claude-[\w-]+", Path(model.__file__).read_text())
    for name in (spec.id for spec in catalog().values() if spec.is_claude):
        assert name in listed
        assert name not in DEPRECATED_MODELS
    assert default("claude").is_claude


def test_lookup_takes_ids_folders_and_hub_names(tmp_path):
    assert (lookup("tiny").random, lookup("tiny").price) == (True, None)
    assert lookup(str(tmp_path)).folder == tmp_path
    assert lookup("some-org/some-model").hub.repo == "some-org/some-model"
    assert lookup("claude-that-is-newer-than-this-file").price is None
    assert lookup("claude-3-5-sonnet-20991231").price is None


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("smollm2-135m", r"did you mean smollm2-135m-instruct\? known are .*tiny"),
        ("", "unknown model ''"),
        ("./no/such/folder", "does not exist"),
        ("~nobody-here/x", "does not exist"),
        (__file__, "is a file: name a folder"),
        ("tiny/", "unknown model 'tiny/': did you mean tiny?"),
        ("x" * 300, "unknown model"),
    ],
)
def test_an_unknown_name_is_refused_with_what_is_known(name, says):
    with pytest.raises(UserError, match=says) as error:
        lookup(name)
    assert "\n" not in str(error.value)


def test_no_model_id_stands_in_code():
    """Models are named in models.toml only; comments and docstrings may."""
    ids = re.compile("|".join("^tiny$" if name == "tiny" else re.escape(name) for name in catalog()))
    found = []
    for path in ROOT.glob("[cs]*/**/*.py"):  # shared, step1_foundations, ..., classroom
        tree = ast.parse(path.read_text(encoding="utf-8"))
        docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            text = node.value if isinstance(node, ast.Constant) and id(node) not in docs else None
            if isinstance(text, str) and ids.search(text):
                found.append(f"{path}:{node.lineno} {text}")
    assert not found
