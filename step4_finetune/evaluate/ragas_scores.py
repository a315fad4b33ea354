r"""How like the chosen replies are a system's? Ragas' metrics without a judge, in an environment of its own.

    python -m venv ragas-env
    ragas-env/bin/pip install "ragas>=0.4.3" "langchain-community==0.4.1" "rich<15" \
        rapidfuzz sacrebleu rouge-score
    python -m step4_finetune evaluate --adapter runs/tone --ragas ragas-env/bin/python

    like the chosen reply                 BLEU           ROUGE-L  ...
    base                      0.03 (0.02-0.04)  0.13 (0.10-0.16)  ...
    (the rejected replies)    0.61 (0.50-0.72)  0.76 (0.70-0.83)  ...

Ragas 0.4 wants older versions than the rest of this project, so it can't live in the same environment. This
file is also what that other Python runs: then it imports nothing of ours, reads pairs of texts as JSON from
stdin and prints JSON. Nothing is sent anywhere. Likeness is neither tone nor truth: the rejected replies,
where there are some, get a row too, and are very like the chosen ones.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from importlib import metadata
from pathlib import Path
from statistics import fmean
from typing import Any

METRICS = {
    "BLEU": "BleuScore",
    "ROUGE-L": "RougeScore",
    "ChrF": "CHRFScore",
    "string similarity": "NonLLMStringSimilarity",
}
REJECTED = "(the rejected replies)"
Pair = tuple[str, str]  # reply, chosen reply


def ready(python: Path) -> Callable[[dict[str, Any]], None]:
    """Try that Python; returns what adds Ragas' figures to the facts of an evaluation, as `ragas`.

    Raises:
        UserError: it can't be run, has no Ragas or an old one, or fails.
    """
    _ask(python, [("One reply.", "One reply.")])

    def add(facts: dict[str, Any]) -> None:
        from shared.progress import spinner
        from shared.stats import bootstrap

        messages = facts["messages"]
        said = {each["name"]: [reply["text"] for reply in each["replies"]] for each in facts["systems"]}
        if all(message["rejected"] for message in messages):
            said[REJECTED] = [message["rejected"] for message in messages]
        chosen = [message["chosen"] for message in messages]
        with spinner("Ragas"):
            got = _ask(python, [pair for texts in said.values() for pair in zip(texts, chosen, strict=True)])
        n, systems = len(chosen), {}
        for at, name in enumerate(said):
            values = {metric: each[at * n : at * n + n] for metric, each in got["scores"].items()}
            systems[name] = {
                metric: {"mean": fmean(each), "interval": bootstrap(each), "values": each}
                for metric, each in values.items()
            }
        facts["ragas"] = {"version": got["version"], "n": n, "systems": systems}

    return add


def _ask(python: Path, pairs: Sequence[Pair]) -> dict[str, Any]:
    """What this file prints when that Python runs it: isolated (-I), lest it import modules of ours."""
    from shared.errors import UserError

    command, given = [str(python), "-I", str(Path(__file__).resolve())], json.dumps(pairs)
    try:
        got = subprocess.run(command, input=given, capture_output=True, text=True, errors="replace")
    except OSError as error:
        raise UserError(f"--ragas {python} cannot be run: {error.strerror}") from None
    try:
        found: dict[str, Any] = json.loads(got.stdout)
        return {"version": found["version"], "scores": {name: found["scores"][name] for name in METRICS}}
    except (ValueError, KeyError, TypeError):
        said = got.stderr.strip().splitlines() or [f"exit code {got.returncode}"]
    raise UserError(
        f"--ragas {python} is no Python with Ragas >= 0.4.3: {said[-1].strip()[:200]} "
        f"({Path(__file__).name} says how to make its environment)"
    )


# --- run by the other Python ------------------------------------------------------------------------------


def main(pairs: Sequence[Pair]) -> dict[str, Any]:
    """{"version": "0.4.3", "scores": {"BLEU": [one for each pair], ...}}."""
    os.environ["RAGAS_DO_NOT_TRACK"] = "true"
    warnings.filterwarnings("ignore")
    from ragas.metrics import collections

    scores = {}
    for name, kind in METRICS.items():
        metric, text = getattr(collections, kind)(), (whole if name == "BLEU" else str)
        scores[name] = [
            metric.score(response=text(reply), reference=text(chosen)).value for reply, chosen in pairs
        ]
    return {"version": metadata.version("ragas"), "scores": scores}


def whole(text: str) -> str:
    r"""The text as one sentence: Ragas 0.4.3 cuts at ". ", and its BLEU then looks at the first part only.

    https://github.com/vibrantlabsai/ragas/issues/2888. For BLEU itself a line feed is as good as a space.

    >>> whole("One. Two.")
    'One.\nTwo.'
    """
    return text.replace(". ", ".\n")


if __name__ == "__main__":
    with redirect_stdout(sys.stderr):  # what libraries print
        answer = main(json.load(sys.stdin))
    print(json.dumps(answer))
