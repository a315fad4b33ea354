"""Commands for all steps.

python -m shared config          every setting, its value and where it comes from
python -m shared weights         fetch the default models
python -m shared demo            run every step's demo and write reports/index.html
"""

import platform
import textwrap
from pathlib import Path
from typing import Annotated

import typer

from shared.cli import Model, Smoke, new_app, plain_console, plain_table
from shared.launch import ExitCode, run

app = new_app("Settings, weights, and the demo with its report page.")


@app.command()
def config(model: Model = None) -> None:
    """Print every setting, where its value comes from and which values it takes; then the machine."""
    from shared import hardware
    from shared.config import describe

    console = plain_console()
    console.print(plain_table("setting", "value", "from", "takes", rows=describe(model=model)))
    console.print(f"\nPython {platform.python_version()}, {hardware.describe()}", soft_wrap=True)


@app.command()
def weights(
    names: Annotated[list[str] | None, typer.Argument(help="Default: the two default models.")] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Check the hashes of cached files; fetch damaged models again.")
    ] = False,
) -> None:
    """Fetch models, and print where each is and where it came from."""
    from shared.config import load_settings
    from shared.models import weights as files

    settings = load_settings()
    for name in names or [settings.model, settings.embedder]:
        folder = files.ensure(name, settings, verify=verify)
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        verified = ", verified" if verify and (folder / files.MANIFEST).is_file() else ""
        print(f"{name}: {size / 1e6:.0f} MB, {files.source_of(folder)}{verified}, in {folder}")


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for records, pictures and index.html.")] = Path("reports"),
    smoke: Smoke = False,
) -> None:
    """Run the demo of every installed step, print a summary and write the report page."""
    from shared.report import page, record
    from shared.report.demo import run_all

    console = plain_console()
    record.ensure_writable(out / "index.html")  # fail before the work, not after it
    page.read_records(out)
    runs = run_all(out.resolve(), console, smoke=smoke)
    rows = []
    for finished in runs:
        result = textwrap.shorten(finished.headline, 200, placeholder=" ...")
        if finished.exit_code:
            result = f"ended with exit code {finished.exit_code}"
        rows.append((finished.step, finished.title, f"{finished.seconds:.1f}", result))
    console.rule("what ran", align="left")
    console.print(plain_table("step", "run", "seconds", "result", rows=rows, right=["seconds"]))
    console.print(f"\nAll results and pictures on one page: {page.build(out)}", soft_wrap=True)
    codes = {finished.exit_code for finished in runs}
    if ExitCode.INTERRUPTED in codes:
        raise KeyboardInterrupt
    if codes != {ExitCode.OK}:
        raise typer.Exit(ExitCode.FAILED)


if __name__ == "__main__":
    run(app, "python -m shared")
