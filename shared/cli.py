"""What every command line of the house has in common: the same flags, one-line errors, exit codes.

exit 0    it worked
exit 2    something the user can put right, said in one line on stderr
exit 130  Ctrl-C
"""

from __future__ import annotations

import difflib
import gc
import io
import json
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shared.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

Model = Annotated[
    str | None, typer.Option("--model", help="Model id, local folder, or hub repository (org/name).")
]
Device = Annotated[str | None, typer.Option("--device", help="auto, cpu, cuda or mps.")]
Dtype = Annotated[str | None, typer.Option("--dtype", help="auto, float32, bfloat16 or float16.")]
Engine = Annotated[str | None, typer.Option("--engine", help="auto, transformers or llamacpp.")]
Threads = Annotated[str | None, typer.Option("--threads", help="Processor threads: auto or a number.")]
Seed = Annotated[int | None, typer.Option("--seed", help="Of everything random.")]
Json = Annotated[bool, typer.Option("--json", help="Print the facts as JSON and nothing else.")]
Out = Annotated[Path | None, typer.Option("--out", help="Where the picture goes (PNG).")]
Smoke = Annotated[bool, typer.Option("--smoke", help="A quick run on the tiny random model.")]


def new_app(description: str) -> typer.Typer:
    """A typer app in the house's manner: no completion commands, help also by -h."""
    return typer.Typer(
        help=description,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )


def settings_from_flags(smoke: bool = False, **flags: Any) -> Any:
    """The settings under these flags; a smoke run takes the tiny models, unless a flag names others.

    Raises:
        UserError: as `load_settings`.
    """
    from shared.catalog import default
    from shared.config import load_settings

    if smoke:
        flags = {"model": default("smoke").id, "embedder": default("smoke").id} | {
            name: value for name, value in flags.items() if value is not None
        }
    return load_settings(**flags)


def with_default(app: typer.Typer, command: str, args: list[str]) -> list[str]:
    """The arguments with `command` in front, where they name none themselves.

    A single word that is nearly a command's name stays as it is, so that the typo is reported.
    """
    commands = list(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    if args and (args[0] in commands or args[0] in ("-h", "--help")):
        return args
    if args and " " not in args[0] and difflib.get_close_matches(args[0], commands, cutoff=0.75):
        return args
    return [command, *args]


def run(app: typer.Typer, prog: str, args: list[str] | None = None) -> None:
    """Run the app and end the process; what a user can put right ends in one line, never in a traceback."""
    for stream in (sys.stdout, sys.stderr):  # a pipe may be ASCII, or cp1252 on Windows
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="replace")
    gc.set_threshold(100_000, 50, 100)  # 700 would look through all that is being imported, again and again
    try:
        code = typer.main.get_command(app).main(args=args, prog_name=prog, standalone_mode=False)
        if sys.stdout:  # None when it was closed
            sys.stdout.flush()
    except UserError as error:
        code = _fail(str(error))
    except KeyboardInterrupt:
        code = 130
    except (BrokenPipeError, SystemExit) as error:
        code = getattr(error, "code", 1)
        if isinstance(error, BrokenPipeError) or isinstance(error.__context__, BrokenPipeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the reader (head, less) has seen enough
            code = 0
    except Exception as error:
        if not hasattr(error, "format_message"):  # a usage error of typer has it; the rest are bugs
            raise
        message = error.format_message()  # empty where the help was shown instead
        code = _fail(f"{message} (see {prog} --help)") if message else 0
    if code == 130:
        print("\nstopped", file=sys.stderr)
    sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str) -> int:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return 2


def emit(facts: dict[str, Any], show: Callable[[Console], None], *, as_json: bool) -> None:
    """Give people the table (`show`), programs the same facts as JSON, and the report page a record."""
    from shared.report import record as report

    facts = _without_nan(facts)
    if as_json:
        print(json.dumps(facts, ensure_ascii=False, indent=1, allow_nan=False))
    else:
        from rich.console import Console

        show(Console(highlight=False, markup=False))  # texts and paths may hold [brackets]
    report.record(facts)


def _without_nan(value: Any) -> Any:
    """The same with null for every number that is none: JSON has no NaN, and unknown stays unknown."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _without_nan(each) for key, each in value.items()}
    return [_without_nan(each) for each in value] if isinstance(value, list | tuple) else value
