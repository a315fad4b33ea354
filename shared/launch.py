"""Runs a command line: its exit code, and one line for each error that the user can fix.

    run(app, "python -m step1_foundations")       for an app with commands
    run_main(main, "python -m step1_foundations.minimal")     for a script with one command

Whatever a command raises ends here; a bug of ours keeps its traceback.
"""

import errno
import gc
import io
import os
import re
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import typer

from shared.cli import new_app
from shared.errors import UserError
from shared.exit_code import ExitCode
from shared.masking import masked

EXTRAS = {"opentelemetry": "tracing", "psycopg": "postgres", "xllamacpp": "llamacpp"}  # not in `all`
UNWRITTEN = re.compile(r"(exercise \d+\.\d+): ")  # what an exercise raises until a learner has written it
IN_ONE_LINE = (errno.EACCES, errno.EPERM, errno.ENAMETOOLONG)  # errors that the name of the file explains


def run(app: typer.Typer, prog: str, args: list[str] | None = None) -> None:
    """Run the app and exit the process; an error that the user can fix is printed as one line."""
    _prepare_process()
    try:
        code = typer.main.get_command(app).main(args=args, prog_name=prog, standalone_mode=False)
        if sys.stdout:  # None when it was closed
            sys.stdout.flush()
    except KeyboardInterrupt:
        code = ExitCode.INTERRUPTED
    except SystemExit as error:
        code = _explain_exit(error)
    except OSError as error:
        code = _explain_os_error(error)
    except Exception as error:
        code = _explain(error, prog)
    if code == ExitCode.INTERRUPTED:
        print("\nstopped", file=sys.stderr)
    sys.exit(code if isinstance(code, int) else ExitCode.OK)


def run_main(main: Callable[..., None], prog: str) -> None:
    """`run` for a script with a single command, `main`."""
    app = new_app(main.__doc__ or "")
    app.command()(main)
    app.info.no_args_is_help = False
    run(app, prog)


def _prepare_process() -> None:
    """Streams that take any text, and settings that make heavy libraries faster."""
    for stream in (sys.stdout, sys.stderr):  # a pipe may be ASCII, or cp1252 on Windows
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="replace")
    if sys.stdin is None:  # it was closed
        sys.stdin = io.StringIO()
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")
    # How long an idle OpenMP thread spins, read when torch is imported. The default of 300,000 rounds makes
    # generation ten times slower if other processes need the cores.
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")
    gc.set_threshold(100_000, 50, 100)  # the default of 700 makes heavy imports slow


def _explain(error: Exception, prog: str) -> int:
    """Print an error that the user can fix; raise any other one again."""
    if isinstance(error, UserError):
        return _fail(masked(str(error)))  # the message may contain a URL with a password
    if isinstance(error, NotImplementedError) and (exercise := UNWRITTEN.match(str(error))):
        return _fail(f"{exercise[1]} is not written yet: {_place_of(error)}")
    if isinstance(error, ModuleNotFoundError):
        package = str(error.name).partition(".")[0]
        extra = EXTRAS.get(package, "all")
        return _fail(f"{error.name} is not installed: run pip install -c constraints.txt '.[{extra}]'")
    if hasattr(error, "format_message"):  # a wrong flag: typer keeps the class of these errors to itself
        message = error.format_message()
        if not message:  # the help was printed
            return ExitCode.OK
        return _fail(f"{message} (see {prog} --help)")
    if _is_from_the_sdk(error):  # in a script that has no code for errors
        from shared.chat.errors import explain  # imports the SDK, which this process has imported
        from shared.config import load_settings

        return _fail(explain(error, load_settings()))
    raise error


def _place_of(error: Exception) -> str:
    """The line that raised an error, as FILE:LINE. FILE is relative to the current folder, if inside."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    file = Path(frame.filename)
    if file.is_relative_to(Path.cwd()):
        file = file.relative_to(Path.cwd())
    return f"{file}:{frame.lineno}"


def _is_from_the_sdk(error: Exception) -> bool:
    """Whether it is one of the Anthropic SDK's; if the SDK was not imported, it is not."""
    sdk = sys.modules.get("anthropic")
    return sdk is not None and isinstance(error, sdk.AnthropicError)


def _explain_exit(error: SystemExit) -> int | str | None:
    """The code of an exit, which may be what a library made of a full disk or a closed pipe."""
    cause = error.__context__
    if isinstance(cause, OSError) and _is_about_output(cause):
        return _explain_output_error(cause)
    return error.code


def _explain_os_error(error: OSError) -> int:
    if _is_about_output(error):
        return _explain_output_error(error)
    if error.filename and error.errno in IN_ONE_LINE:
        return _fail(f"{error.filename}: {error.strerror}")
    raise error


def _is_about_output(error: OSError) -> bool:
    return isinstance(error, BrokenPipeError) or error.errno == errno.ENOSPC


def _explain_output_error(error: OSError) -> int:
    """A full disk is an error; a pipe that `head` or `less` closed is not."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the rest of the output would fail, too
    if error.errno == errno.ENOSPC:
        return _fail(os.strerror(errno.ENOSPC))
    return ExitCode.OK


def _fail(message: str) -> int:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return ExitCode.USAGE
