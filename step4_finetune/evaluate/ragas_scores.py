r"""Similarity of replies to the chosen ones: Ragas' metrics without a judge, on a report of `evaluate`.

    python -m venv ragas-env
    ragas-env/bin/pip install "ragas>=0.4.3" "langchain-community==0.4.1" "rich<15" \
        rapidfuzz sacrebleu rouge-score
    ragas-env/bin/python -I step4_finetune/evaluate/ragas_scores.py report/evaluate.json

    like the chosen reply     BLEU  ROUGE-L  ChrF  string similarity
    base                      0.03     0.13  ...
    (the rejected replies)    0.61     0.76  ...

Ragas 0.4 needs older versions than the rest of this project, so it has its own environment, and this file
imports nothing of ours (-I: nor by accident). Nothing is sent anywhere. Similarity is neither tone nor truth:
the rejected replies have a row, too, and are very similar to the chosen ones.
"""

import json
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

METRICS = {
    "BLEU": "BleuScore",
    "ROUGE-L": "RougeScore",
    "ChrF": "CHRFScore",
    "string similarity": "NonLLMStringSimilarity",
}


def likeness(facts: dict[str, Any]) -> dict[str, list[float]]:
    """The mean of every metric, for each system of an evaluate.json and for the rejected replies."""
    os.environ["RAGAS_DO_NOT_TRACK"] = "true"
    warnings.filterwarnings("ignore")
    from ragas.metrics import collections

    chosen = [each["chosen"] for each in facts["messages"]]
    texts = {each["name"]: [reply["text"] for reply in each["replies"]] for each in facts["systems"]}
    rejected = [each["rejected"] for each in facts["messages"]]
    if all(rejected):
        texts["(the rejected replies)"] = rejected
    metrics = [getattr(collections, name)() for name in METRICS.values()]
    return {name: [_mean(each, replies, chosen) for each in metrics] for name, replies in texts.items()}


def _mean(metric: Any, replies: Sequence[str], chosen: Sequence[str]) -> float:
    """The mean of a metric. For BLEU, line feeds keep each text whole: Ragas 0.4.3 splits at ". " and uses
    the first part only (Ragas' issue 2888)."""
    pairs = zip(replies, chosen, strict=True)
    if type(metric).__name__ == METRICS["BLEU"]:
        pairs = ((one.replace(". ", ".\n"), other.replace(". ", ".\n")) for one, other in pairs)
    return fmean(metric.score(response=one, reference=other).value for one, other in pairs)


def main(path: Path) -> None:
    """Print the table."""
    print(f"{'like the chosen reply':24}" + "".join(f"{name:>19}" for name in METRICS))
    for name, means in likeness(json.loads(path.read_text(encoding="utf-8"))).items():
        print(f"{name:24}" + "".join(f"{each:19.2f}" for each in means))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
