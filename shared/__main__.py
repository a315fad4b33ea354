"""The commands that all steps share.

python -m shared doctor          check the machine
python -m shared config          every setting, its value and where it comes from
python -m shared weights         fetch the default models
python -m shared demo            run every step's demo and write reports/index.html
"""

from __future__ import annotations

import textwrap
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shared.cli import Json, Model, Smoke, emit, new_app, plain_console, plain_table, run
from shared.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

app = new_app("Settings, weights, a check of the machine, the demo and its report page.")
ReportsDir = Annotated[Path, typer.Option("--out", help="Folder for records, pictures and index.html.")]


@app.command()
def doctor(as_json: Json = False) -> None:
    """Check Python, the packages of each step, weights, keys, accelerator, memory and disk."""
    from shared.config import load_settings
    from shared.report.doctor import examine

    findings = examine(load_settings())
    broken = [finding.what for finding in findings if finding.state == "wrong"]
    results = {
        "command": "shared doctor",
        "headline": f"cannot run: {', '.join(broken)}" if broken else "everything that is installed can run",
        "findings": [asdict(finding) for finding in findings],
    }
    rows = [(f"[{each.state}]", each.what, each.detail) for each in findings]
    emit(results, lambda out: out.print(plain_table("state", "what", "found", rows=rows)), as_json=as_json)
    if broken:
        raise typer.Exit(1)


@app.command()
def config(model: Model = None, as_json: Json = False) -> None:
    """Print every setting: its value, where it comes from and which values it takes; secrets are masked."""
    from rich.text import Text

    from shared.config import describe

    settings = describe({"model": model})
    changed = sum(row["from"] != "default" for row in settings)
    headline = f"{changed} of {len(settings)} settings changed"
    results = {"command": "shared config", "headline": headline, "settings": settings}
    rows = []
    for row in settings:
        value = "-" if row["value"] is None else str(row["value"])
        rows.append((row["setting"], Text(value, overflow="fold"), row["from"], row["takes"]))
    table = plain_table("setting", "value", "from", "takes", rows=rows)
    emit(results, lambda out: out.print(table), as_json=as_json)


@app.command()
def weights(
    names: Annotated[
        list[str] | None, typer.Argument(help="Model ids; without any, the two default models.")
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Hash every file, and fetch again what differs.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Bring models to this machine, and print where each is and where it came from."""
    from shared.config import load_settings
    from shared.models import weights as files

    settings = load_settings()
    rows = []
    for name in names or [settings.model, settings.embedder]:
        folder = files.ensure(name, settings, verify=verify)
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        row = {"model": name, "folder": str(folder), "from": files.source_of(folder), "mb": round(size / 1e6)}
        rows.append(row | {"verified": verify and (folder / files.MANIFEST).is_file()})
    headline = f"{len(rows)} model{'' if len(rows) == 1 else 's'} here"
    results = {"command": "shared weights", "headline": headline, "models": rows}

    def show(console: Console) -> None:
        for row in rows:
            unhashed = ", not hashed: it is your own folder" if verify else ""
            state = ", verified" if row["verified"] else unhashed
            text = f"{row['model']}: {row['mb']} MB, {row['from']}{state}, in {row['folder']}"
            console.print(text, soft_wrap=True)

    emit(results, show, as_json=as_json)


@app.command()
def demo(out: ReportsDir = Path("reports"), smoke: Smoke = False) -> None:
    """Run the demo of every installed step, then print what ran and write the report page."""
    from shared.report import page, record
    from shared.report.demo import INTERRUPTED, run_all

    console = plain_console()
    record.writable(out / "index.html")  # now, not after a minute of work
    runs = run_all(out.resolve(), console, smoke=smoke)
    endings = {0: "", INTERRUPTED: "stopped"}
    rows = []
    for each in runs:
        ending = endings.get(each.exit_code, f"failed with exit code {each.exit_code}")
        result = ending or textwrap.shorten(each.headline, 200, placeholder=" ...")
        rows.append((each.step, each.title, f"{each.seconds:.1f}", result))
    console.print(
        plain_table("step", "run", "seconds", "result", rows=rows, right=["seconds"], title="what ran")
    )
    console.print(f"\nAll results and pictures on one page: {page.build(out)}", soft_wrap=True)
    codes = {each.exit_code for each in runs}
    if INTERRUPTED in codes:
        raise KeyboardInterrupt
    if codes - {0}:
        raise typer.Exit(1)


@app.command()
def report(out: ReportsDir = Path("reports")) -> None:
    """Write the report page again from the records in the folder."""
    from shared.report import page

    if not out.is_dir():
        raise UserError(f"{out} is not a folder: run make demo first, or name the folder with --out")
    print(page.build(out))


if __name__ == "__main__":
    run(app, "python -m shared")
