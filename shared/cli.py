"""What all command lines share: flags, `--json`, tables. `launch.py` runs them."""

import difflib
import json
import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from os import PathLike
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Protocol, TypeVar

import typer
from typer.core import TyperGroup

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
else:  # others take the names from here, since importing rich takes a while
    Console = Table = Any

Model = Annotated[str | None, typer.Option("--model", help="Model id, folder, or hub id (org/name).")]
Seed = Annotated[int | None, typer.Option("--seed", help="Seed of all random draws.")]
Json = Annotated[bool, typer.Option("--json", help="Print the results as JSON.")]
Out = Annotated[Path | None, typer.Option("--out", help="File for the picture (PNG).")]
Smoke = Annotated[bool, typer.Option("--smoke", help="Quick run on the tiny random model (nonsense).")]

HIDDEN = MappingProxyType({"hidden": True})  # `field(metadata=HIDDEN)`: for the table only, not for --json


class Report(Protocol):
    """The result of a command: a frozen dataclass whose fields, in their order, are the keys of `--json`.

    It may also have a `picture`, a path, and the `question` that was asked.
    """

    @property
    def command(self) -> str: ...  # "step1_foundations tokens"

    @property
    def headline(self) -> str: ...  # the main result in one line


AnyReport = TypeVar("AnyReport", bound=Report | dict[str, Any])  # steps 3 to 5 still have dicts


def new_app(description: str, default: str = "") -> typer.Typer:
    """A typer app without completion commands, with -h as a short form of --help.

    `default` is the command that runs if the arguments start with a prompt or flags instead of a command. A
    first word similar to a command's name is reported as a typo. Bytes that are not UTF-8 become ?.
    """

    class WithDefault(TyperGroup):
        def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
            args = [argument.encode(errors="replace").decode() for argument in args]
            first = args[0] if args else ""
            is_command = first in (*self.commands, "-h", "--help")
            if not is_command and not self._is_typo(first):
                args = [default, *args]
            return super().parse_args(ctx, args)

        def _is_typo(self, word: str) -> bool:
            similar = difflib.get_close_matches(word, self.commands, cutoff=0.75)
            return " " not in word and bool(similar)

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
    from shared.catalog import default  # imports pydantic, which --help does without
    from shared.config import load_settings

    if not smoke:
        return load_settings(**flags)
    tiny = default("smoke").id
    if flags.get("model"):
        return load_settings(**{**flags, "embedder": tiny})
    settings = load_settings(**{**flags, "embedder": tiny, "model": tiny})
    return settings.model_copy(update={"base_url": None})


def read_argument(argument: str | None, default: str) -> str:
    """The argument, or standard input (for `-`, or if it is a pipe), or the default."""
    is_piped = argument is None and not sys.stdin.isatty()
    if argument == "-" or is_piped:
        text = sys.stdin.read().strip()
        return default if is_piped and not text else text
    return default if argument is None else argument


def emit(report: AnyReport, show: Callable[[AnyReport, Console], None], *, as_json: bool) -> None:
    """Print a report with `show(report, console)` or as JSON, and write a record for the report page."""
    from shared.report.record import record  # imports psutil, which --help does without

    results = to_json(report)
    if as_json:
        print(json.dumps(results, ensure_ascii=False, indent=1, allow_nan=False))
    else:
        show(report, plain_console())
    record(results)


def to_json(value: Any) -> Any:
    """The value as JSON has it: a dataclass is an object, a path a string, NaN and infinity are null.

    >>> to_json(Range(low=0.5, high=math.inf))
    {'low': 0.5, 'high': None}
    """
    if is_dataclass(value) and not isinstance(value, type):
        shown = [field.name for field in fields(value) if not field.metadata.get("hidden")]
        return {name: to_json(getattr(value, name)) for name in shown}
    if isinstance(value, Mapping):
        return {key: to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    if isinstance(value, PathLike):
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def plain_console(stderr: bool = False) -> Console:
    """A rich console that prints text as it is, without markup or emoji codes."""
    from rich.console import Console  # slow

    return Console(stderr=stderr, highlight=False, markup=False, emoji=False)


def plain_table(
    *columns: str, rows: Iterable[Sequence[Any]] = (), right: Sequence[str] = (), gap: int = 2
) -> Table:
    """A rich table without lines, `gap` spaces between columns; those named in `right` are aligned right."""
    from rich.table import Table  # slow

    table = Table(box=None, pad_edge=False)
    table.header_style = "bold"
    table.padding = (0, gap, 0, 0)
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table
