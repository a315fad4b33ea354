"""The keys of every `--json` output of steps 1 to 3: programs read them, so none is renamed.

python -m tests.test_json_keys      writes them to json_keys.json
"""

import contextlib
import io
import json
import os
import sys
import tempfile
from importlib import import_module
from pathlib import Path

import pytest

from shared import launch

FILE = Path(__file__).with_name("json_keys.json")
COMMANDS = [
    "step1_foundations generate Hello --max-new-tokens 3",
    "step1_foundations tokens --languages",
    "step1_foundations merges --n 2",
    "step1_foundations next Hello",
    "step1_foundations embeddings king",
    "step1_foundations attention Hello",
    "step1_foundations block Hello",
    "step1_foundations logit-lens Hello",
    "step1_foundations bench",
    "step2_tools ask Hello",
    "step2_tools tools",
    "step2_tools evaluate --limit 1",
    "step2_tools injection --limit 1",
    "step2_tools caching",
    "step2_tools optimize",
    "step3_rag ask Hello",
    "step3_rag ask Hello --reader chat --threshold 0",
    "step3_rag ask Hello --framework langgraph",
    "step3_rag search Hello",
    "step3_rag agent Hello",
    "step3_rag status",
    "step3_rag evaluate --limit 1",
    "step3_rag evaluate --limit 1 --answers",
    "step3_rag evaluate --limit 1 --frameworks",
    "step3_rag citations",
    "step3_rag injections",
    "step3_rag reflect --limit 1",
    "step3_rag sweep --limit 1 --sizes 128/32",
]
WITHOUT_MODEL = {"merges", "tools", "citations", "injections"}


def run(line: str) -> dict:
    """What a command prints with --json, on the tiny model."""
    package, *args = line.split()
    smoke = [] if args[0] in WITHOUT_MODEL else ["--smoke"]
    out = io.StringIO()
    main = import_module(f"{package}.__main__")
    with contextlib.redirect_stdout(out), pytest.raises(SystemExit) as ended:
        launch.run(main.app, package, [*args, *smoke, "--json"])
    assert ended.value.code in (0, 3), line  # 3: the tiny model's nonsense was cut
    return json.loads(out.getvalue())


def outline(value: object) -> object:
    """A value's keys, in their order; of a list, its first item's; nothing of numbers and texts."""
    if isinstance(value, dict):
        return {key: outline(item) for key, item in value.items()}
    if isinstance(value, list) and value:
        return [outline(value[0])]
    return "list" if isinstance(value, list) else ""


@pytest.mark.slow
@pytest.mark.parametrize("line", COMMANDS)
def test_the_keys_of_json_stay(line):
    if "--frameworks" in line:
        pytest.importorskip("llama_index.core", reason="without the extra llamaindex")
    recorded = json.loads(FILE.read_text(encoding="utf-8"))[line]
    assert json.dumps(outline(run(line))) == json.dumps(recorded)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        os.environ["ROADMAP_HUB"] = "false"
        keys = {line: outline(run(line)) for line in COMMANDS}
    FILE.write_text(json.dumps(keys, indent=1) + "\n", encoding="utf-8")
    sys.exit(0)
