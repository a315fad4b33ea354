"""Shared by all command lines: flags, one-line errors, exit codes, `--json`.

exit 0    success
exit 1    the command ran, and its check failed
exit 2    an error that the user can fix, in one line on stderr
exit 130  Ctrl-C
"""

import difflib
import errno
import gc
import io
import json
import math
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from shared.errors import UserError
from shared.masking import masked

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
else:  # others take the names from here, since importing rich takes a while
    Console = Table = Any

EXTRAS = {"opentelemetry": "tracing", "psycopg": "postgres", "xllamacpp": "llamacpp"}  # not in `all`
IN_ONE_LINE = (errno.EACCES, errno.EPERM, errno.ENAMETOOLONG)  # errors that the name of the file explains

Model = Annotated[str | None, typer.Option("--model", help="Model id, folder, or hub id (org/name).")]
Seed = Annotated[int | None, typer.Option("--seed", help="Seed of all random draws.")]
Json = Annotated[bool, typer.Option("--json", help="Print the results as JSON.")]
Out = Annotated[Path | None, typer.Option("--out", help="File for the picture (PNG).")]
Smoke = Annotated[bool, typer.Option("--smoke", help="Quick run on the tiny random model (nonsense).")]


def new_app(description: str, default: str = "") -> typer.Typer:
    """A typer app without completion commands, with -h as a short form of --help.

    `default` is the command that runs if the arguments start with a prompt or flags instead of a command. A
    first word similar to a command's name is reported as a typo. Bytes that are not UTF-8 become ?.
    """

    class WithDefault(TyperGroup):
        def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
            args = [each.encode(errors="replace").decode() for each in args]
            first = args[0] if args else ""
            typo = " " not in first and difflib.get_close_matches(first, self.commands, cutoff=0.75)
            if first not in (*self.commands, "-h", "--help") and not typo:
                args = [default, *args]
            return super().parse_args(ctx, args)

    return typer.Typer(
        cls=WithDefault if default else TyperGroup,
        help=description,
        no_args_is_help=not default,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )


def settings_from_flags(smoke: bool = False, **flags: Any) -> Any:
    """The settings with these flags applied.

    A smoke run uses the tiny model, and no server, unless a flag names another model.

    Raises:
        UserError: as `load_settings`.
    """
    from shared.catalog import default
    from shared.config import load_settings

    if not smoke:
        return load_settings(**flags)
    tiny = default("smoke").id
    settings = load_settings(**{**flags, "embedder": tiny, "model": flags.get("model") or tiny})
    return settings if flags.get("model") else settings.model_copy(update={"base_url": None})


def read_argument(argument: str | None, default: str) -> str:
    """The argument, or standard input (for `-`, or if it is a pipe), or the default."""
    if argument == "-" or (argument is None and not sys.stdin.isatty()):
        piped = sys.stdin.read().strip()
        return piped if piped or argument else default
    return default if argument is None else argument


def run(app: typer.Typer, prog: str, args: list[str] | None = None) -> None:
    """Run the app and exit the process; an error that the user can fix is printed as one line."""
    for stream in (sys.stdout, sys.stderr):  # a pipe may be ASCII, or cp1252 on Windows
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="replace")
    sys.stdin = sys.stdin or io.StringIO()  # None when it was closed
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")
    # How long an idle OpenMP thread spins, read when torch is imported. The default of 300,000 rounds makes
    # generation ten times slower if other processes need the cores.
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")
    gc.set_threshold(100_000, 50, 100)  # the default of 700 makes heavy imports slow
    try:
        code = typer.main.get_command(app).main(args=args, prog_name=prog, standalone_mode=False)
        if sys.stdout:  # None when it was closed
            sys.stdout.flush()
    except UserError as error:
        code = _fail(masked(str(error)))  # the message may contain a URL with a password
    except ModuleNotFoundError as error:
        extra = EXTRAS.get(str(error.name).partition(".")[0], "all")
        code = _fail(f"{error.name} is not installed: run pip install -c constraints.txt '.[{extra}]'")
    except KeyboardInterrupt:
        code = 130
    except (OSError, SystemExit) as error:
        code = getattr(error, "code", None)
        cause = error if isinstance(error, OSError) else error.__context__
        full = isinstance(cause, OSError) and cause.errno == errno.ENOSPC
        if full or isinstance(cause, BrokenPipeError):  # `head` or `less` closed the pipe
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the rest of the output would fail, too
            code = _fail(os.strerror(errno.ENOSPC)) if full else 0
        elif isinstance(error, OSError) and error.filename and error.errno in IN_ONE_LINE:
            code = _fail(f"{error.filename}: {error.strerror}")
        elif isinstance(error, OSError):
            raise
    except Exception as error:
        if type(error).__module__.startswith("anthropic"):  # from a script that has no code for errors
            from shared.chat.errors import explain
            from shared.config import load_settings

            code = _fail(explain(error, load_settings()))
        elif not hasattr(error, "format_message"):  # only typer's usage errors have it
            raise
        else:
            message = error.format_message()  # empty after the help was printed
            code = _fail(f"{message} (see {prog} --help)") if message else 0
    if code == 130:
        print("\nstopped", file=sys.stderr)
    sys.exit(code if isinstance(code, int) else 0)


def run_main(main: Callable[..., None], prog: str) -> None:
    """`run` for a script with a single command, `main`."""
    app = new_app(main.__doc__ or "")
    app.command()(main)
    app.info.no_args_is_help = False
    run(app, prog)


def _fail(message: str) -> int:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return 2


def emit(results: dict[str, Any], show: Callable[[dict[str, Any], Console], None], *, as_json: bool) -> None:
    """Print the results with `show(results, console)` or as JSON, and write a record for the report page."""
    from shared.report.record import record

    without_nan = _without_nan(results)
    if as_json:
        print(json.dumps(without_nan, ensure_ascii=False, indent=1, allow_nan=False))
    else:
        show(results, plain_console())
    record(without_nan)


def plain_console(stderr: bool = False) -> Console:
    """A rich console that prints text as it is, without markup or emoji codes."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, markup=False, emoji=False)


def plain_table(
    *columns: str, rows: Iterable[Sequence[Any]] = (), right: Sequence[str] = (), gap: int = 2
) -> Table:
    """A rich table without lines, `gap` spaces between columns; those named in `right` are aligned right."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.header_style, table.padding = "bold", (0, gap, 0, 0)
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def _without_nan(value: Any) -> Any:
    """The value with None in place of NaN and infinity, which JSON doesn't have."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _without_nan(each) for key, each in value.items()}
    return [_without_nan(each) for each in value] if isinstance(value, list | tuple) else value
