"""The command that hands a tuned model on to other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from shared.cli import Json, Model, emit, new_app

app = new_app("Handing a tuned model on.")


@app.command()
def export(
    adapter: Annotated[Path, typer.Argument(help="Folder of a run.")],
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
