"""The commands. Heavy libraries are imported inside them, so that --help answers at once."""

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated, Literal

import typer

from shared.cli import Json, Model, Seed, Smoke, emit, new_app, settings_from_flags
from shared.launch import ExitCode
from step4_finetune.cli import data, show
from step4_finetune.cli.data import Data, GuideFile, read

app = new_app("Step 4: fine-tuning and alignment. A company's tone, taught to a small model and measured.")
app.add_typer(data.app, name="data")

Notes = Annotated[
    list[str] | None, typer.Option("--note", help="A fact or decision of the company; repeat it for several.")
]
Adapters = Annotated[
    list[Path] | None,
    typer.Option(
        "--adapter",
        help="Folder of a run; repeat it for several. Default: tone, the shipped adapter; none for none.",
    ),
]
General = Annotated[
    Path | None,
    typer.Option(help="Questions whose answers must not take on the tone (JSON lines: prompt, answer)."),
]
Start = Annotated[
    Path | None, typer.Option("--from", help="Folder of a run whose adapter is trained further.")
]


@app.command()
def train(
    out: Annotated[Path, typer.Option("--out", help="Folder of the run.")],
    recipe: Annotated[str, typer.Option(help="Name of a recipe, or a YAML file.")] = "default",
    method: Annotated[
        Literal["sft", "dpo", "grpo"] | None, typer.Option(help="Default: the recipe's.")
    ] = None,
    tuning: Annotated[
        Literal["lora", "qlora", "full"] | None, typer.Option(help="Default: the recipe's.")
    ] = None,
    data: Data = None,
    guide: GuideFile = None,
    report_to: Annotated[Literal["none", "wandb"], typer.Option(help="Where to log.")] = "none",
    limit: Annotated[int | None, typer.Option(min=1, help="Largest number of rows.")] = None,
    start: Start = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Remove an earlier run in --out first.")] = False,
    model: Model = None,
    seed: Seed = None,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """Train by a recipe: SFT, DPO or GRPO; resumes an interrupted run."""
    with redirect_stdout(sys.stderr):  # transformers and its reporters print; our facts come after
        from step4_finetune.models.quiet import quiet_peft

        quiet_peft()
        from shared.embedded.adapter import write_protocol
        from shared.errors import UserError
        from step4_finetune.toolcalls import data as toolcalls
        from step4_finetune.train import branches
        from step4_finetune.train import recipe as recipes
        from step4_finetune.train import run as training
        from step4_finetune.train.training_data import TrainingData, prepare

        settings = settings_from_flags(smoke, model=model, seed=seed)
        changes = {"method": method, "tuning": tuning, "seed": seed}
        chosen = recipes.read_recipe(recipe, **{k: v for k, v in changes.items() if v is not None})
        if smoke:
            chosen, limit = recipes.smoke(chosen), limit or 4
        is_only_for_tone = chosen.method != "sft" or chosen.activated or guide
        if chosen.task in ("reader", "tools") and (is_only_for_tone or start):
            raise UserError(f"task {chosen.task} trains by sft, without lora.activated, --guide and --from")
        if chosen.task == "agent" and is_only_for_tone:
            raise UserError("task agent trains by sft, without lora.activated and --guide")
        if chosen.task == "reader":
            from step4_finetune.reading import data as reading
            from step4_finetune.reading import training as reader

            examples = reading.read_examples(Path(data or "data/reader/train.jsonl"), limit)
            facts = reader.run(settings, chosen, examples, out, report_to, fresh=fresh)
        elif chosen.task in ("tools", "agent"):
            path = Path(data or f"data/{chosen.task}/train.jsonl")
            prepared: TrainingData = branches.read(
                path, chosen.task, toolcalls.fits, toolcalls.parts, limit, start
            )
            facts = training.run(settings, chosen, prepared, out, report_to, fresh=fresh)
            if chosen.task == "agent":
                write_protocol(out)
        else:
            from step4_finetune.models import shipped

            start = shipped.find(start) if start else None
            prepared = prepare(settings, chosen, *read(data, guide), limit, start, own_rows=bool(data))
            asked, chosen = chosen.sft, chosen.for_rows(len(prepared.rows))
            if chosen.sft != asked:
                print(
                    f"{len(prepared.rows)} rows are few: {chosen.sft.epochs:g} epochs instead of "
                    f"{asked.epochs:g}, at learning rate {chosen.sft.learning_rate:g} (sft.least_steps)",
                    file=sys.stderr,
                )
            facts = training.run(settings, chosen, prepared, out, report_to, fresh=fresh)
    emit(facts, show.train, as_json=as_json)


@app.command()
def evaluate(
    adapter: Adapters = None,
    baselines: Annotated[
        str, typer.Option(help="template, base, guide, few-shot; separated by commas.")
    ] = "template,base,guide,few-shot",
    split: Annotated[str, typer.Option(help="dev for choosing, test for reporting.")] = "dev",
    data: Data = None,
    guide: GuideFile = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Largest number of messages.")] = None,
    general: General = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for figures and replies. (default: in ./reports)")
    ] = None,
    model: Model = None,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """Compare base, prompted and tuned models on tone, fidelity, leak and perplexity, with intervals."""
    from step4_finetune.evaluate import run as evaluation
    from step4_finetune.models import shipped

    settings = settings_from_flags(smoke, model=model)
    rows, its_guide = read(data, guide)
    folder = evaluation.output_folder(out)
    facts = evaluation.run(
        settings,
        its_guide,
        rows,
        split=split,
        baselines=[each.strip() for each in baselines.split(",") if each.strip()],
        adapters=shipped.chosen(adapter, settings),
        limit=limit or (3 if smoke else None),
        general_file=general,
    )
    evaluation.write(facts, folder)
    emit(facts, show.evaluation, as_json=as_json)


@app.command()
def chat(
    message: Annotated[str, typer.Argument(help="The message to answer.")],
    note: Notes = None,
    adapter: Adapters = None,
    guide: GuideFile = None,
    model: Model = None,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """Show replies of base and tuned models side by side."""
    from step4_finetune import chat as talking
    from step4_finetune.models import shipped

    settings = settings_from_flags(smoke, model=model)
    its_guide = read(None, guide)[1]
    facts = talking.run(settings, its_guide, message, note or [], shipped.chosen(adapter, settings))
    emit(facts, show.chat, as_json=as_json)


@app.command()
def guard(
    text: Annotated[str | None, typer.Argument(help="The message to check.")] = None,
    measure: Annotated[
        bool, typer.Option("--measure", help="Report detection and false-alarm rates on the labelled sets.")
    ] = False,
    adapter: Annotated[
        Path | None, typer.Option(help="Answer with the tuned model of this run; tone: the shipped adapter.")
    ] = None,
    note: Notes = None,
    data: Data = None,
    guide: GuideFile = None,
    model: Model = None,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """Check a message for personal data and injection, and its reply for tone and facts."""
    from shared.errors import UserError
    from step4_finetune.guard import around
    from step4_finetune.guard import measure as measuring

    if measure == (text is not None) or (measure and (note or adapter)):
        raise UserError("guard takes a text, with --note and --adapter if you like, or --measure alone")
    settings = settings_from_flags(smoke, model=model)
    rows, its_guide = read(data, guide)
    if text is None:
        emit(measuring.run(its_guide, rows), show.rates, as_json=as_json)
        return
    generate = None
    if adapter:
        from step4_finetune.chat import generator
        from step4_finetune.models import shipped

        generate = generator(settings, shipped.find(adapter), its_guide)
    emit(around.run(generate, text, its_guide, note or []), show.guard, as_json=as_json)


@app.command()
def export(
    adapter: Annotated[Path, typer.Argument(help="Folder of a run; tone: the shipped adapter.")],
    out: Annotated[Path, typer.Option("--out", help="A new folder.")],
    gguf: Annotated[
        str, typer.Option(help="GGUF types f16, q8_0, separated by commas; empty for none.")
    ] = "f16,q8_0",
    guide: GuideFile = None,
    model: Model = None,
    as_json: Json = False,
) -> None:
    """Export a merged model, GGUF with a Modelfile for Ollama, and an adapter for vLLM."""
    from step4_finetune.export import files
    from step4_finetune.models import shipped

    formats = [each.strip() for each in gguf.split(",") if each.strip()]
    system = read(None, guide)[1].system
    facts = files.run(settings_from_flags(model=model), shipped.find(adapter), out, system, formats)
    emit(facts, show.export, as_json=as_json)


@app.command()
def lora(
    target: Annotated[str, typer.Option(help="Name of a matrix in the last layer.")] = "q_proj",
    r: Annotated[int, typer.Option(min=1, help="Rank of the update.")] = 16,
    alpha: Annotated[int, typer.Option(help="The update is scaled by alpha / r.")] = 32,
    model: Model = None,
    seed: Seed = None,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """Compute LoRA by hand on one matrix, compare it with PEFT, and count trained weights."""
    from step4_finetune.by_hand import lora as lesson

    facts = lesson.run(settings_from_flags(smoke, model=model, seed=seed), target, r, alpha)
    emit(facts, show.lora, as_json=as_json)
    if not facts["proved"]:
        raise typer.Exit(ExitCode.FAILED)


@app.command()
def dpo(
    pairs: Annotated[int, typer.Option(min=1, help="Number of pairs.")] = 3,
    beta: Annotated[
        float, typer.Option(help="Beta: a larger value keeps the model closer to its reference.")
    ] = 0.1,
    steps: Annotated[int, typer.Option(min=0, help="Number of training steps.")] = 3,
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
    emit(facts, show.dpo, as_json=as_json)


@app.command()
def reader(
    file: Annotated[
        Path | None, typer.Argument(help="A reader.safetensors; default: the shipped one.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Largest number of passages.")] = None,
    as_json: Json = False,
) -> None:
    """Measure the model that reads, on passages that its training never saw."""
    from shared.reader import ADAPTER
    from step4_finetune.reading import measure

    report = measure.run(settings_from_flags(), file or ADAPTER, limit)
    emit(report, show.reader, as_json=as_json)


@app.command()
def evaluator(
    labelled: Annotated[
        Path | None,
        typer.Option(
            help="Labelled replies (JSON lines); default: the sample's, of rules and of whole replies."
        ),
    ] = None,
    guide: GuideFile = None,
    as_json: Json = False,
) -> None:
    """Measure precision and recall of every check of the evaluator on labelled replies."""
    from step4_finetune.data.rows import LABELLED, LABELLED_REPLIES
    from step4_finetune.evaluate import validate

    files = [labelled] if labelled else [LABELLED, LABELLED_REPLIES]
    rows = [row for file in files for row in validate.read_labelled(file)]
    facts = validate.run(rows, read(None, guide)[1])
    emit(facts, show.evaluator, as_json=as_json)
