"""Commands for single parts of the lessons: LoRA, the DPO loss, and how good the evaluator is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from shared.cli import Json, Model, Seed, Smoke, emit, new_app, settings_from_flags
from step4_finetune.cli.flags import Data, GuideFile, read

app = new_app("Parts of the lesson.")


@app.command()
def lora(
    layer: Annotated[int, typer.Option(help="Number of the layer; -1 is the last.")] = -1,
    target: Annotated[str, typer.Option(help="Name of the matrix in that layer.")] = "q_proj",
    r: Annotated[int, typer.Option(help="Rank of the update.")] = 16,
    alpha: Annotated[int, typer.Option(help="The update is scaled by alpha / r.")] = 32,
    model: Model = None,
    seed: Seed = None,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """Compute LoRA by hand on one matrix, compare it with PEFT, and count trained weights."""
    from step4_finetune.by_hand import lora as lesson

    facts = lesson.run(settings_from_flags(smoke, model=model, seed=seed), layer, target, r, alpha)
    emit(facts, lesson.show, as_json=as_json)


@app.command()
def dpo(
    pairs: Annotated[int, typer.Option(help="Number of pairs.")] = 3,
    beta: Annotated[
        float, typer.Option(help="Beta: a larger value keeps the model closer to its reference.")
    ] = 0.1,
    steps: Annotated[int, typer.Option(help="Number of training steps.")] = 3,
    data: Data = None,
    guide: GuideFile = None,
    model: Model = None,
    seed: Seed = None,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """Compute the DPO loss by hand, and take a few steps."""
    from step4_finetune.by_hand import dpo as lesson

    settings = settings_from_flags(smoke, model=model, seed=seed)
    rows, its_guide = read(data, guide)
    facts = lesson.run(settings, rows, its_guide.system, pairs, beta, steps)
    emit(facts, lesson.show, as_json=as_json)


@app.command()
def evaluator(
    labelled: Annotated[
        Path | None, typer.Option(help="Labelled replies (JSON lines); default: the sample's.")
    ] = None,
    guide: GuideFile = None,
    as_json: Json = False,
) -> None:
    """Measure precision and recall of every check of the evaluator on labelled replies."""
    from step4_finetune.data.rows import GUIDE, LABELLED
    from step4_finetune.evaluate import validate
    from step4_finetune.tone.guide import read_guide

    facts = validate.run(validate.read_labelled(labelled or LABELLED), read_guide(guide or GUIDE))
    emit(facts, validate.show, as_json=as_json)
