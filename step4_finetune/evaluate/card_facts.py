"""What a model card says: how the model was trained, from its run, and what it was measured to do.

    >>> of_run(Path("runs/tone"))["method"]
    'sft, 3 epochs of 8 rows a step, learning rate 0.002'
    >>> results(Path("report/evaluate.json"), Path("runs/tone"))[0]
    {'name': 'adherence (test)', 'value': 0.99, 'base': 0.41, 'low': 0.98, 'high': 1.0, 'n': 80}

What a run's files don't say is left out: a card without a line says less, but nothing wrong.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from shared.errors import UserError, reason
from shared.stats import wilson

SHARES = ("all_rules", "faithful", "both", "healthy")


def read_run(folder: Path) -> dict[str, Any]:
    """What run.json says, with the recipe of recipe.yaml where it names none; empty where there are neither.

    Raises:
        UserError: one of them can't be read.
    """
    from step4_finetune.tone.guide import read_yaml

    run: Any = {}
    if (folder / "run.json").exists():
        try:
            run = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UserError(f"{folder / 'run.json'} cannot be read: {reason(error)}") from None
    if not isinstance(run, dict):
        raise UserError(f"{folder / 'run.json'} is no JSON object: train again, or remove it")
    if "recipe" not in run and (folder / "recipe.yaml").exists():
        run["recipe"] = read_yaml(folder / "recipe.yaml")
    return run


def of_run(folder: Path) -> dict[str, str]:
    """The lines of a card about a run, as far as they are known; `data` and `system` as in `card.text`.

    Raises:
        UserError: as in `read_run`.
    """
    run = read_run(folder)
    facts = {}
    for name, line in LINES.items():
        try:
            said = line(run, run.get("recipe") or {})
        except (KeyError, TypeError, ValueError, AttributeError):
            continue
        if said:
            facts[name] = said
    return facts


def _method(_run: Mapping[str, Any], recipe: Mapping[str, Any]) -> str:
    stages = []
    for name in recipe["method"].split("+"):
        stage = recipe[name]
        together = stage["batch_size"] * stage.get("accumulate", 1)
        rows = "pairs" if name == "dpo" else "rows"
        stages.append(
            f"{name}, {stage['epochs']:g} epochs of {together} {rows} a step, "
            f"learning rate {stage['learning_rate']:g}"
        )
    return "; then ".join(stages)


def _tuning(_run: Mapping[str, Any], recipe: Mapping[str, Any]) -> str:
    if recipe["tuning"] == "full":
        return "full: every weight"
    lora = recipe["lora"]
    where = f"the last {lora['last_layers']} layers" if lora["last_layers"] else "all layers"
    kind = ", activated by the company's system message" if lora.get("activated") else ""
    return (
        f"{recipe['tuning']}, r {lora['r']}, alpha {lora['alpha']:g} on {', '.join(lora['targets'])} of "
        f"{where}{kind}"
    )


def _rows(run: Mapping[str, Any], _recipe: Mapping[str, Any]) -> str:
    more = {"pairs": "pairs of chosen and rejected", "replay": "examples of the base model's own"}
    counted = [f"{run[name]} {what}" for name, what in more.items() if run.get(name)]
    return ", ".join([str(run["rows"]), *counted])


def _took(run: Mapping[str, Any], _recipe: Mapping[str, Any]) -> str:
    peak = f", {run['peak_memory_mb']:,} MB of memory at most" if run.get("peak_memory_mb") else ""
    return f"{run['seconds_in_all']:.0f} s{peak}"


Line = Callable[[Mapping[str, Any], Mapping[str, Any]], str | None]
LINES: dict[str, Line] = {  # a line of the card: from run.json and the recipe
    "data": lambda run, _: f"{run['rows']} messages and replies",
    "system": lambda run, _: run["system"],
    "recipe": lambda _, recipe: ": ".join(filter(None, (recipe["name"], recipe.get("about")))),
    "method": _method,
    "tuning": _tuning,
    "weights trained": lambda run, _: f"{run['trainable']:,} of {run['parameters']:,}",
    "goes on from": lambda run, _: run["start"] and Path(run["start"]).name,
    "rows": _rows,
    "fingerprint of the rows": lambda run, _: run["data"],
    "seed": lambda _, recipe: str(recipe["seed"]),
    "number format": lambda run, _: run["dtype"],
    "took": _took,
    "machine": lambda run, _: run["machine"],
    "versions": lambda run, _: ", ".join(f"{name} {each}" for name, each in run["versions"].items()),
    "commit": lambda run, _: run["commit"],
}


# --- what was measured ------------------------------------------------------------------------------------


def results(evaluation: Path | None, adapter: Path) -> list[dict[str, Any]]:
    """What a card says of an evaluation: figures of the tuned model beside the base's.

    Raises:
        UserError: the file is no evaluation, or doesn't know the model.
    """
    if evaluation is None:
        return []
    try:
        facts = json.loads(evaluation.read_text(encoding="utf-8"))
        systems = {each["name"]: each for each in facts["systems"]}
        name = f"{adapter.parent.name}/{adapter.name}"  # where two runs have the same folder name
        name = name if name in systems else adapter.name
        rows = list(_of_replies(systems[name], systems.get("base") or {}, facts["split"]))
        models = facts.get("models") or {}
        for model in (name, f"{name}, merged"):
            as_it_is = "" if model == name else ", merged into the base"
            rows += [
                {**row, "name": row["name"] + as_it_is}
                for row in _of_model(models.get(model) or {}, models.get("base") or {})
            ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise UserError(
            f"{evaluation} holds no evaluation of {adapter.name}: `evaluate --adapter ... --out` writes one"
        ) from None
    return rows


def _of_replies(mine: Mapping[str, Any], base: Mapping[str, Any], split: str) -> Iterator[dict[str, Any]]:
    """Shares of the replies to the split's messages."""
    for measure in ("adherence", *SHARES):
        if (found := mine.get(measure)) is None:
            continue
        which = "mean" if measure == "adherence" else "share"
        low, high = found["interval"] or (None, None)
        yield {
            "name": f"{measure.replace('_', ' ')} ({split})",
            "value": found[which],
            "base": (base.get(measure) or {}).get(which),
            "low": low,
            "high": high,
            "n": found.get("n", len(mine.get("replies") or ())),
        }


def _of_model(mine: Mapping[str, Any], base: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """What should not have changed: general questions, and how well general text is predicted."""
    for name, hits, of in (("leak", "leaked", "asked"), ("general answers right", "right", "answers")):
        if not mine.get(of):
            continue
        low, high = wilson(mine[hits], mine[of])
        yield {
            "name": name,
            "value": mine[hits] / mine[of],
            "base": base[hits] / base[of] if base.get(of) else None,
            "low": low,
            "high": high,
            "n": mine[of],
        }
    if mine.get("perplexity") is not None:
        yield {
            "name": "perplexity of general text",
            "value": mine["perplexity"],
            "base": base.get("perplexity"),
        }
