"""Ragas' own figures for the answers of `evaluate --answers --out DIR`, in an environment of its own.

    python -m venv ragas-env
    ragas-env/bin/pip install "ragas>=0.4.3" "langchain-community==0.4.1" "rich<15" rapidfuzz
    python -m step3_rag evaluate --answers --out report/ --ragas ragas-env/bin/python

Ragas 0.4 wants older versions than the rest of this project, so it can't live in the same environment. This
file is run by that other Python: it imports nothing of ours, reads answers.jsonl and prints JSON. It computes
only metrics that need no judge: a 135M model can't judge, and nothing is sent anywhere.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from pathlib import Path
from statistics import mean


def main(path: Path) -> dict[str, float]:
    """Means over the answerable questions, by the names of Ragas."""
    os.environ["RAGAS_DO_NOT_TRACK"] = "true"
    warnings.filterwarnings("ignore")
    from ragas import metrics
    from ragas.dataset_schema import SingleTurnSample

    names = ("IDBasedContextRecall", "IDBasedContextPrecision", "NonLLMStringSimilarity")
    chosen = [getattr(metrics, name)() for name in names]
    samples = []
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if row["reference_context_ids"]:
            fields = SingleTurnSample.model_fields
            samples.append(SingleTurnSample(**{key: row[key] for key in row if key in fields}))
    means = {each.name: mean(each.single_turn_score(one) for one in samples) for each in chosen}
    return {"n": len(samples)} | {name: round(value, 4) for name, value in means.items()}


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
