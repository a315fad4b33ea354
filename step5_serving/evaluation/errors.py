"""Error analysis: calls that need a look become a set of questions for step 3.

    $ python -m step5_serving evaluation errors --since 7d --out new-questions
    $ python -m step3_rag evaluate --dataset new-questions          # once the judgements are filled in

A call needs a look if somebody disliked it, if its confidence was low, or if it abstained
(`calls_to_review`). The folder has BEIR's layout, as step 3 reads it: questions, the passages that they were
answered from, and a judgement of 0 for each pair. Somebody who knows the documents changes it to 1 where the
passage answers the question. If all judgements of a question stay 0, the documents lack the answer, or the
search missed it.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from shared.errors import UserError

QRELS = Path("qrels/test.tsv")


def write_set(calls: Sequence[Mapping[str, Any]], folder: Path) -> dict[str, int]:
    """Write the questions in BEIR's layout; returns the numbers of questions, passages and judgements.

    Raises:
        UserError: there is nothing to write, or the folder has files, which may be somebody's work.
    """
    queries: list[dict[str, Any]] = []
    passages: dict[str, dict[str, str]] = {}
    judgements = ["query-id\tcorpus-id\tscore"]
    for call in calls:
        if call["sources"]:
            asked = {"_id": call["span_id"], "text": call["question"]}
            queries.append({**asked, "metadata": {"reasons": call["reasons"]}})
        for source in call["sources"]:
            name = f"{source['document']}#{source['sha256'][:8]}"
            passages[name] = {"_id": name, "title": source["place"], "text": source["text"]}
            judgements.append(f"{call['span_id']}\t{name}\t0")
    if not queries:
        raise UserError("none of these calls has a question with passages: there is no set to write")
    try:
        if folder.exists() and any(folder.iterdir()):
            raise UserError(f"{folder} is not empty: give another folder with --out")
        (folder / QRELS).parent.mkdir(parents=True, exist_ok=True)
        for name, rows in (("corpus", passages.values()), ("queries", queries)):
            lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            (folder / f"{name}.jsonl").write_text(lines, encoding="utf-8")
        (folder / QRELS).write_text("\n".join(judgements) + "\n", encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write {folder}: {error.strerror}") from None
    return {"questions": len(queries), "passages": len(passages), "judgements": len(judgements) - 1}
