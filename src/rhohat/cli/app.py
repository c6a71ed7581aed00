"""The application object, exit statuses, error messages and common options that all commands share."""

from __future__ import annotations

import importlib
import json
import math
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import numpy as np
import typer
from sklearn.utils._param_validation import InvalidParameterError
from typer.core import TyperCommand, TyperGroup

from rhohat.cli.declared import DATA, MODEL, OUTPUT, TRAINING, USAGE, declared, paragraphs_of, usage_of
from rhohat.cli.option_names import Typed, own_name
from rhohat.common.exceptions import ConvergenceWarning, SettingError
from rhohat.common.versions import version_of
from rhohat.common.words import message_of

__all__ = [
    "ORDER",
    "Data",
    "Jobs",
    "Json",
    "Labels",
    "Model",
    "Quiet",
    "Threshold",
    "Traceback",
    "app",
    "check_writable",
    "command",
    "examples_of",
    "functions_of_commands",
    "note",
    "parse_image_shape",
    "print_json",
    "typed_in",
]

_FAILED, _BAD_OPTION, _INTERRUPTED = 1, 2, 130

#: The error that Typer raises and displays for bad options; the name of its module differs between versions of Typer.
_USAGE_ERROR: type[Exception] = typer.BadParameter.__mro__[2]

#: Names of the commands by the titles of their panels, in the order in which a user typically needs them.
_COMMANDS = {
    "Learn": ("demo", "patches", "harvest", "train"),
    "Use a model": ("encode", "reconstruct", "predict", "score", "convert"),
    "Look at a model": ("report", "evaluate", "plot", "match", "probe", "info"),
    "Check the mathematics": ("check-gradient",),
}
ORDER = tuple(name for names in _COMMANDS.values() for name in names)

_TRACEBACK, _QUIET, _TYPED = "rhohat.traceback", "rhohat.quiet", "rhohat.typed"

_Function = TypeVar("_Function", bound=Callable[..., None])


class _Command(TyperCommand):
    """Command whose help is a page of our own, and whose options may have the names that they have elsewhere."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments and options that the user has typed."""
        known = {name for parameter in self.params for name in parameter.opts}
        ctx.find_root().meta[_TYPED] = Typed(list(args), known)
        end = args.index("--") if "--" in args else len(args)
        return super().parse_args(ctx, [*(own_name(one, known) for one in args[:end]), *args[end:]])

    def get_usage(self, ctx: Any) -> str:
        """Return the usage line that stands above errors, which is the one of the help."""
        return f"Usage: {usage_of(str(self.name), list(declared(functions_of_commands()[str(self.name)])))}"

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help."""
        from rhohat.cli.help_page import print_command_help  # imported here, as only --help needs it

        print_command_help(str(self.name), functions_of_commands()[str(self.name)], examples_of(str(self.name)))


class _Commands(TyperGroup):
    """Group of commands that reports an error as one sentence on standard error and as an exit status."""

    def get_usage(self, ctx: Any) -> str:
        """Return the usage line that stands above errors, which is the one of the help."""
        return f"Usage: {USAGE}"

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of the commands in the order in which the help shows them."""
        return sorted(super().list_commands(ctx), key=ORDER.index)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help of the program."""
        from rhohat.cli.help_page import print_group_help

        functions = functions_of_commands()
        said = {name: paragraphs_of(function)[0] for name, function in functions.items()}
        commands = {title: [(name, said[name]) for name in names if name in said] for title, names in _COMMANDS.items()}
        options = [(", ".join(one.opts), one.help or "") for one in _options(self, ctx)]
        print_group_help(self.help or "", commands, options, self.epilog or "")

    def invoke(self, ctx: Any) -> Any:
        """Run the command that the user has called."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                warnings.simplefilter("always", UserWarning)
                said: set[str] = set()
                warnings.showwarning = lambda message, kind, *_, **__: _say_once(ctx, _remark(ctx, message, kind), said)
                return super().invoke(ctx)
        except _USAGE_ERROR as error:
            _name_as_typed(error, typed_in(ctx))
            raise
        except (typer.Exit, typer.Abort, BrokenPipeError):
            raise
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            raise typer.Exit(_INTERRUPTED) from None
        except Exception as error:
            if ctx.meta.get(_TRACEBACK):
                raise
            print(f"error: {_sentence(error, typed_in(ctx))}", file=sys.stderr)
            is_bad_option = isinstance(error, InvalidParameterError | SettingError)
            raise typer.Exit(_BAD_OPTION if is_bad_option else _FAILED) from None


def typed_in(ctx: Any) -> Typed:
    """Return the command line as it was typed."""
    typed: Typed = ctx.find_root().meta.get(_TYPED, Typed())
    return typed


def _name_as_typed(error: Any, typed: Typed) -> None:
    """Let an error about an option name it, and all others, as they were typed."""
    error.message = typed.with_own_names(error.message)
    hint, names = getattr(error, "param_hint", None), getattr(getattr(error, "param", None), "opts", [])
    if isinstance(hint, str):
        error.param_hint = typed.with_own_names(hint)
    elif [typed.with_own_names(name) for name in names] != names:
        error.param_hint = " / ".join(f"'{typed.with_own_names(name)}'" for name in names)


def _say_once(ctx: Any, remark: str, said: set[str]) -> None:
    """Print a remark unless it was printed before; reading rows several times raises the same warning several times."""
    if remark not in said:
        said.add(remark)
        note(ctx, remark)


def _remark(ctx: Any, message: Warning | str, kind: type[Warning]) -> str:
    """Return a warning as one line of text; a ConvergenceWarning is called a note, any other a warning."""
    text = message if isinstance(message, str) else message_of(message)
    return f"{'note' if issubclass(kind, ConvergenceWarning) else 'warning'}: {typed_in(ctx).written(text)}"


def _sentence(error: Exception, typed: Typed) -> str:
    """Return the message of an error; for an error that is not meant for users, also its type and a hint."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}."
    text = typed.written(message_of(error)) or type(error).__name__
    if isinstance(error, InvalidParameterError):
        return typed.refused(text)
    if isinstance(error, MemoryError):
        return f"there is not enough memory. {text if str(error) else ''}".strip()
    if isinstance(error, OSError | ValueError | ImportError | RuntimeError | AttributeError):
        return text
    return f"unexpected {type(error).__name__}: {text}. Run the command again with --traceback to see where it arose."


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    context_settings={"help_option_names": ["--help", "-h"]},
    pretty_exceptions_enable=False,
    help="Learn sparse features from unlabelled data.",
    epilog="Exit status: 0 done; 1 an error in the data, a file or the training; 2 bad options; 130 interrupted."
    " Results go to standard output, progress and errors to standard error. NO_COLOR=1 turns colours off.",
)


def command(examples: str, name: str | None = None) -> Callable[[_Function], _Function]:
    """Return a decorator that makes a function a command of the program.

    Parameters
    ----------
    examples : str
        Command lines that the help shows, each below a line with a comment that says what it does.
    name : str, default=None
        Name of the command; that of the function if None.
    """
    return app.command(name, cls=_Command, epilog=examples)


def functions_of_commands() -> dict[str, Callable[..., None]]:
    """Return the functions of the commands, keyed by the names of the commands, in the order of the help."""
    functions: dict[str, Any] = {
        one.name or one.callback.__name__.replace("_", "-"): one.callback
        for one in app.registered_commands
        if one.callback is not None
    }
    return {name: functions[name] for name in sorted(functions, key=ORDER.index)}


def examples_of(name: str) -> list[str]:
    """Return the lines of the examples of a command."""
    (one,) = (one for one in app.registered_commands if one.callback is functions_of_commands()[name])
    return [line.strip() for line in (one.epilog or "").strip().splitlines()]


def _options(group: Any, ctx: Any) -> list[Any]:
    """Return the options of the program itself, with those that Typer adds."""
    return list(group.get_params(ctx))


@app.callback(invoke_without_command=True)
def _main(
    show_version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
    modules: Annotated[
        list[str] | None,
        typer.Option(
            "--import",
            metavar="MODULE",
            help="A Python module to run first, from this folder or installed, which registers classes of your own with"
            " rhohat.register. This option may be given several times.",
        ),
    ] = None,
) -> None:
    if show_version:
        typer.echo(f"rhohat {version_of('rhohat')}")
        raise typer.Exit
    if modules:
        sys.path.insert(0, str(Path.cwd()))
    for module in modules or []:
        importlib.import_module(module)


def note(ctx: Any, text: str) -> None:
    """Print a line to standard error unless the command was called with --quiet."""
    if not ctx.find_root().meta.get(_QUIET):
        print(typed_in(ctx).with_own_names(text), file=sys.stderr)


def _remember(key: str) -> Any:
    def callback(ctx: typer.Context, value: bool) -> bool:
        ctx.find_root().meta[key] = value
        return value

    return callback


def check_writable(
    path: Path, *inputs: Path, endings: tuple[str, ...] = (), option: str = "--output", folder: bool = False
) -> None:
    """Raise before any work is done if an output, a file or a folder, cannot be written or is one of the inputs."""
    if path.is_dir() and not folder:
        raise typer.BadParameter(f"{path} is a folder; name a file in it.", param_hint=option)
    if endings and path.suffix not in endings and not (folder and (path.is_dir() or not path.suffix)):
        what = " or name a folder" if folder else ""
        raise typer.BadParameter(f"must end in {' or '.join(endings)}{what}; got {path}.", param_hint=option)
    if not path.parent.is_dir():
        raise typer.BadParameter(f"there is no folder {path.parent}; make it first.", param_hint=option)
    if any(_is_same(path, one) for one in inputs):
        raise typer.BadParameter(f"{path} is an input and would be overwritten; name another file.", param_hint=option)
    try:
        tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as error:
        raise typer.BadParameter(f"cannot write to {path.parent}: {error.strerror}.", param_hint=option) from None


def _is_same(path: Path, read: Path) -> bool:
    """Return whether two paths mean the same file; `read` may end in a colon and the name of an array in the file."""
    file = read if read.exists() else Path(str(read).rpartition(":")[0])
    return path.exists() and file.exists() and path.samefile(file)


def print_json(found: Any) -> None:
    """Print an object as JSON; numbers that JSON cannot represent, such as infinity, become null."""
    typer.echo(json.dumps(_finite(found), default=str, ensure_ascii=False))


def _finite(found: Any) -> Any:
    if isinstance(found, dict):
        return {name: _finite(one) for name, one in found.items()}
    if isinstance(found, list | tuple):
        return [_finite(one) for one in found]
    if isinstance(found, np.generic):
        found = found.item()
    return None if isinstance(found, float) and not math.isfinite(found) else found


def parse_image_shape(text: str | None) -> tuple[int, ...] | None:
    """Parse the shape of an image, such as 28x28, 32x32x3 or 3x32x32, into a tuple of integers."""
    if text is None:
        return None
    parts = text.lower().replace("×", "x").split("x")
    if len(parts) not in (2, 3) or not all(part.strip().isdecimal() for part in parts):
        raise typer.BadParameter(
            f"must be written as 28x28, or for colours as 32x32x3 or 3x32x32; got {text!r}.", param_hint="--image-shape"
        )
    return tuple(int(part) for part in parts)


Data = Annotated[
    Path,
    typer.Argument(
        metavar="DATA",
        help="Rows: a .npy, .npz, IDX, safetensors, CSV, HDF5, Parquet, Zarr or MATLAB file; a folder of such files;"
        " or the folder of a harvest. If a file holds several arrays, or a harvest several layers: PATH:/NAME.",
        show_default=False,
        rich_help_panel=DATA,
    ),
]
Model = Annotated[
    Path,
    typer.Argument(
        metavar="MODEL",
        help="A model file that train has written, or a dictionary of another library, as for convert.",
        show_default=False,
        rich_help_panel=MODEL,
    ),
]
Labels = Annotated[
    Path | None,
    typer.Option(
        "--labels",
        help="Labels or other targets of the rows: a text file with one per line, or an array in a file of any format"
        " that DATA may have. If a file holds several arrays: PATH:/NAME.",
        rich_help_panel=DATA,
    ),
]
Threshold = Annotated[
    float | None,
    typer.Option(
        help="A unit counts as active above this value. By default a tenth of the way from its lower"
        " to its upper bound, or 0 if it is unbounded.",
        rich_help_panel=MODEL,
    ),
]
Jobs = Annotated[
    int | None,
    typer.Option(
        help="Number of threads. By default, as many as NumPy would use.", show_default=False, rich_help_panel=TRAINING
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for other programs.", rich_help_panel=OUTPUT)]
Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet", "-q", help="No progress and no warnings.", callback=_remember(_QUIET), rich_help_panel=OUTPUT
    ),
]
Traceback = Annotated[
    bool,
    typer.Option(
        "--traceback",
        help="Show where an error comes from.",
        callback=_remember(_TRACEBACK),
        rich_help_panel=OUTPUT,
    ),
]
