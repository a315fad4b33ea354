"""Commands that hand a tuned model on: export to other programs, a model card, and the hub when asked."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from shared.cli import Json, Model, emit, new_app

app = new_app("Handing a tuned model on.")
Run = Annotated[Path, typer.Argument(help="Folder of a run.")]


@app.command()
def export(
    adapter: Run,
    out: Annotated[Path, typer.Option("--out", help="A new folder.")],
    gguf: Annotated[
        str, typer.Option(help="GGUF types f16, q8_0, separated by commas; empty for none.")
    ] = "f16,q8_0",
    guide: Annotated[
        Path | None, typer.Option("--guide", help="Tone guide whose system message goes into the Modelfile.")
    ] = None,
    model: Model = None,
    as_json: Json = False,
) -> None:
    """Export a merged model, GGUF with a Modelfile for Ollama, and an adapter for vLLM."""
    from shared.config import load_settings
    from step4_finetune.data.rows import GUIDE
    from step4_finetune.export import files as exporting
    from step4_finetune.tone.guide import read_guide

    formats = [each.strip() for each in gguf.split(",") if each.strip()]
    facts = exporting.run(
        load_settings(model=model), adapter, out, read_guide(guide or GUIDE).system, formats
    )
    emit(facts, lambda console: exporting.show(facts, console), as_json=as_json)


@app.command()
def card(
    adapter: Run,
    evaluation: Annotated[
        Path | None,
        typer.Option(
            help="evaluate.json of `evaluate --out`; without it, the card says that nothing was measured."
        ),
    ] = None,
    model: Model = None,
    as_json: Json = False,
) -> None:
    """Write a model card beside the adapter, with its training and its measurements."""
    from shared.config import load_settings
    from step4_finetune.export import card as cards
    from step4_finetune.train.folder import read_run

    settings = load_settings(model=model or read_run(adapter).get("model"))
    path = cards.write(adapter, cards.text(settings, adapter, evaluation))
    facts = {"command": "step4_finetune card", "headline": f"a card in {path}", "card": str(path)}
    emit(facts, lambda console: console.print(str(path)), as_json=as_json)


@app.command()
def push(
    folder: Run,
    repo: Annotated[str, typer.Option(help="owner/name on the hub.")],
    public: Annotated[bool, typer.Option("--public", help="Make it public; default: private.")] = False,
    as_json: Json = False,
) -> None:
    """Upload a run or an export to the hub; no other command uploads anything."""
    from shared.config import load_settings
    from step4_finetune.export import card as cards

    where = cards.push(load_settings(), folder, repo, private=not public)
    facts = {"command": "step4_finetune push", "headline": where, "address": where}
    emit(facts, lambda console: console.print(where), as_json=as_json)
