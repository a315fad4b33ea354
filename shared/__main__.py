"""Command line of what the steps share: settings, weights, a check of the machine, the demo and its page.

python -m shared doctor          is everything here?
python -m shared config          every setting, its value and where it came from
python -m shared weights         fetch the default models
python -m shared bench           the text engines of the embedded model, side by side
python -m shared demo            run every step's demo and write reports/index.html
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shared.cli import Device, Dtype, Engine, Json, Model, Seed, Smoke, Threads, emit, new_app, run
from shared.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

app = new_app("What the steps share: settings, weights, a check of the machine, the demo and its page.")

ReportsDir = Annotated[Path, typer.Option("--out", help="Folder of records, pictures and index.html.")]


@app.command()
def doctor(as_json: Json = False) -> None:
    """Check Python, each step's packages, weights, keys, accelerator, memory and disk."""
    from shared.config import load_settings
    from shared.report import doctor as check

    findings = check.examine(load_settings())
    emit(check.facts(findings), lambda console: check.show(findings, console), as_json=as_json)
    if any(finding.state == "missing" for finding in findings):
        raise typer.Exit(1)


@app.command()
def config(
    model: Model = None,
    device: Device = None,
    dtype: Dtype = None,
    engine: Engine = None,
    threads: Threads = None,
    seed: Seed = None,
    as_json: Json = False,
) -> None:
    """Print every setting, its value, where it came from and what it takes; secrets are masked."""
    from shared.config import describe

    flags = {"model": model, "device": device, "dtype": dtype, "engine": engine, "threads": threads}
    rows = describe({**flags, "seed": seed})
    changed = sum(row["from"] != "default" for row in rows)
    facts = {
        "command": "shared config",
        "headline": f"{changed} of {len(rows)} settings changed",
        "settings": rows,
    }

    def show(console: Console) -> None:
        from rich.table import Table
        from rich.text import Text

        table = Table("setting", "value", "from", "takes", box=None, pad_edge=False, header_style="bold")
        for row in rows:
            value = Text("-" if row["value"] is None else str(row["value"]), overflow="fold")
            table.add_row(row["setting"], value, row["from"], row["takes"])
        console.print(table)

    emit(facts, show, as_json=as_json)


@app.command()
def weights(
    names: Annotated[
        list[str] | None, typer.Argument(help="Model ids; the two default models if none.")
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Hash every file, and fetch anew what differs.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Bring models to this machine, and say where each lies and where it came from."""
    from shared.config import load_settings
    from shared.models import weights as store

    settings = load_settings()
    rows = []
    for name in names or [settings.model, settings.embedder]:
        folder = store.ensure(name, settings, thorough=verify)
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        rows.append(
            {"model": name, "folder": str(folder), "from": store.source_of(folder), "mb": round(size / 1e6)}
        )
    facts = {"command": "shared weights", "headline": f"{len(rows)} models are here", "models": rows}

    def show(console: Console) -> None:
        for row in rows:
            console.print(
                f"{row['model']}: {row['mb']} MB, {row['from']}, in {row['folder']}", soft_wrap=True
            )

    emit(facts, show, as_json=as_json)


@app.command()
def bench(
    repeats: Annotated[int, typer.Option(help="Timed rounds.")] = 3,
    model: Model = None,
    dtype: Dtype = None,
    threads: Threads = None,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """How fast the text engines of the embedded model are on this machine."""
    from shared.catalog import default
    from shared.config import load_settings
    from shared.embedded import measure

    if smoke:
        model, repeats = default("smoke").id, 1
    facts = measure.run(load_settings(model=model, dtype=dtype, threads=threads), repeats)
    emit(facts, lambda console: measure.show(facts, console), as_json=as_json)


@app.command()
def demo(out: ReportsDir = Path("reports"), smoke: Smoke = False) -> None:
    """Run the demo of every step that is installed, then print what ran and write the report page."""
    from rich.console import Console

    from shared.report import demo as runner
    from shared.report import page, record

    console = Console()
    record.writable(out / "index.html")  # now, not after a minute of work
    ran = runner.run_all(out.resolve(), console, smoke=smoke)
    runner.show(ran, page.build(out), console)
    if any(each.exit_code == 130 for each in ran):
        raise KeyboardInterrupt
    if any(each.exit_code for each in ran):
        raise typer.Exit(1)


@app.command()
def report(out: ReportsDir = Path("reports")) -> None:
    """Write the report page anew from the records that lie in the folder."""
    from shared.report import page

    if not out.is_dir():
        raise UserError(f"{out} is no folder: run make demo first, or name the folder with --out")
    print(page.build(out))


if __name__ == "__main__":
    run(app, "python -m shared")
