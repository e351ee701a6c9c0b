"""Options shared by several commands."""

import dataclasses
import functools
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from aectl.config.decoding import MAX_PIXELS
from aectl.config.table_formats import TABLE_FORMATS

URL_AS_PATH = re.compile("[A-Za-z][A-Za-z0-9+.-]+:/")
"""The start of a URL that was taken for a path, which loses a slash."""

RUN = "How it runs"
READ = "How image files are read"


def path_or_url(word: str) -> Path:
    """The path that a word is; of a URL, which paths would change, the word, until `hub.located`
    gives a path."""
    return Path(word) if "://" not in word else cast(Path, word)


Model = Annotated[
    Path,
    typer.Argument(
        metavar="MODEL", parser=path_or_url,
        help="A .safetensors file, or a run folder that holds one, or the URL of either "
        "(hf://user/model, https://...).",
    ),
]  # fmt: skip
Input = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="INPUT",
        help="Datasets (mnist, mnist:train), image files, folders, archives, Parquet, or - for "
        "paths on stdin. For a model of text: files and folders of text, in which each line is one "
        "text, or - for lines on stdin. Files and folders may be URLs (s3://, hf://, https://). "
        "Without INPUT: the test split of the dataset that the model was trained on.",
        show_default=False,
    ),
]
Null = Annotated[
    bool, typer.Option("--null", "-0", help="Paths on stdin are separated by NUL characters.")
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out", "-o", metavar="FILE", parser=path_or_url,
        help=f"Write to this file; its extension ({' '.join(TABLE_FORMATS)}) sets the format.",
        show_default="CSV on stdout",
    ),
]  # fmt: skip
MaxPixels = Annotated[
    int,
    typer.Option(
        "--max-pixels", metavar="N", min=1,
        help="Maximum number of pixels of an image file; larger images are left out.",
        rich_help_panel=READ,
    ),
]  # fmt: skip
Truncated = Annotated[
    Literal["refuse", "keep"],
    typer.Option(
        "--truncated",
        help="Truncated JPEGs: leave them out, or use the readable part and mark them in the "
        "column truncated.",
        rich_help_panel=READ,
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace existing files.")]
Errors = Annotated[
    Path | None,
    typer.Option(
        "--errors",
        metavar="FILE",
        parser=path_or_url,
        help="List the inputs that could not be read in this CSV file.",
    ),
]
Strict = Annotated[
    bool, typer.Option("--strict", help="Stop at the first input that cannot be read.")
]
FOUND = "Which files are read, and their names in the table"
Ext = Annotated[
    str | None,
    typer.Option(
        "--ext", metavar="NAME,...",
        help="In a folder or an archive, use the files with these extensions, such as png,jpg.",
        show_default="those of images; for text, txt and tsv", rich_help_panel=FOUND,
    ),
]  # fmt: skip
Include = Annotated[
    list[str] | None,
    typer.Option(
        "--include", metavar="PATTERN",
        help="In a folder or an archive, use the files that match this pattern, such as 'scan-*' "
        "or 'left/*.dat', whatever their extension; may be given several times.",
        show_default=False, rich_help_panel=FOUND,
    ),
]  # fmt: skip
Exclude = Annotated[
    list[str] | None,
    typer.Option(
        "--exclude", metavar="PATTERN",
        help="In a folder or an archive, skip the files and folders that match this pattern; may "
        "be given several times.",
        show_default=False, rich_help_panel=FOUND,
    ),
]  # fmt: skip
Columns = Annotated[
    list[str] | None,
    typer.Option(
        "--columns", metavar="NAME,...",
        help="Columns of a table of vectors that are features, in place of those of the training "
        "data; may be given several times.",
        show_default=False, rich_help_panel=FOUND,
    ),
]  # fmt: skip
IdColumn = Annotated[
    str | None,
    typer.Option(
        "--id-column", metavar="NAME", help="Column of a table of vectors that names its rows.",
        show_default="that of the training data, or path, id, or another usual name",
        rich_help_panel=FOUND,
    ),
]  # fmt: skip
LabelColumn = Annotated[
    str | None,
    typer.Option(
        "--label-column", metavar="NAME", help="Column of a table that labels its rows.",
        show_default="that of the training data, or label, class, or another usual name",
        rich_help_panel=FOUND,
    ),
]  # fmt: skip
PathsColumn = Annotated[
    str | None,
    typer.Option(
        "--paths-column", metavar="NAME",
        help="Column of a table of images (.csv, .tsv, .jsonl, .parquet) that holds their paths,"
        " relative to the folder of the table.",
        show_default="that of the training data, if that was such a table",
        rich_help_panel=FOUND,
    ),
]  # fmt: skip
RelativeTo = Annotated[
    str | None,
    typer.Option(
        "--relative-to", metavar="DIR",
        help="Write paths relative to this folder.",
        show_default="as given or found", rich_help_panel=FOUND,
    ),
]  # fmt: skip
Absolute = Annotated[
    bool, typer.Option("--absolute", help="Write absolute paths.", rich_help_panel=FOUND)
]
LabelFromFolder = Annotated[
    bool,
    typer.Option(
        "--label-from-folder",
        help="Write the name of an input's sub-folder, in the folder or archive, as its label; for "
        "inputs in no sub-folder, the name of the folder.",
        rich_help_panel=FOUND,
    ),
]
Resume = Annotated[
    bool,
    typer.Option("--resume", help="Continue the table of --out where an interrupted run stopped."),
]
DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        metavar="DIR",
        envvar="AECTL_DATA_DIR",
        help="Folder of the named datasets; image datasets are in torchvision's layout.",
        show_default="the user's cache",
        rich_help_panel=RUN,
    ),
]
Device = Annotated[
    Literal["auto", "cpu", "cuda", "mps"],
    typer.Option("--device", help="Device that the network runs on.", rich_help_panel=RUN),
]
BatchSize = Annotated[
    int | None,
    typer.Option(
        "--batch-size", metavar="N", help="Number of images, or lines of text, per batch.", min=1,
        show_default="256, fewer for large inputs", rich_help_panel=RUN,
    ),
]  # fmt: skip
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers", metavar="N", help="Number of processes that decode image files.", min=1,
        max=1024, show_default="one per core", rich_help_panel=RUN,
    ),
]  # fmt: skip
Threads = Annotated[
    int | None,
    typer.Option(
        "--threads",
        metavar="N",
        help="Number of CPU threads that compute the network.",
        min=1,
        show_default="all in training, otherwise one",
        rich_help_panel=RUN,
    ),
]
Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet", "-q", help="Print only errors and warnings on stderr.", rich_help_panel=RUN
    ),
]
Plain = Annotated[
    bool,
    typer.Option(
        "--plain", help="Print plain lines on stderr, as in a pipe, also on a terminal.",
        rich_help_panel=RUN,
    ),
]  # fmt: skip
Offline = Annotated[
    bool,
    typer.Option(
        "--offline", envvar=["AECTL_OFFLINE", "HF_HUB_OFFLINE"],
        help="Ask no server: models at URLs and datasets are those that were downloaded before.",
        rich_help_panel=RUN,
    ),
]  # fmt: skip
Debug = Annotated[
    bool, typer.Option("--debug", help="Show the traceback of an error.", rich_help_panel=RUN)
]


@dataclass(frozen=True)
class Common:
    """The options of every verb that uses a model on inputs."""

    null: Null = False
    overwrite: Overwrite = False
    errors: Errors = None
    strict: Strict = False
    ext: Ext = None
    include: Include = None
    exclude: Exclude = None
    max_pixels: MaxPixels = MAX_PIXELS
    truncated: Truncated = "refuse"
    columns: Columns = None
    id_column: IdColumn = None
    label_column: LabelColumn = None
    paths_column: PathsColumn = None
    data_dir: DataDir = None
    device: Device = "auto"
    batch_size: BatchSize = None
    workers: Workers = None
    threads: Threads = None
    quiet: Quiet = False
    plain: Plain = False
    offline: Offline = False
    debug: Debug = False


def without_types(parameters: list[Any]) -> list[Any]:
    """The parameters of a command, with no type in the help of switches such as --quiet."""
    for parameter in parameters:
        if getattr(parameter, "is_flag", False) and parameter.metavar is None:
            parameter.metavar = ""
    return parameters


class Command(TyperCommand):
    """A command that refuses an option given twice, instead of silently using the second value.

    For a switch, such as --quiet, the last one counts.
    """

    def get_params(self, ctx: Any) -> list[Any]:
        """The options and arguments, `--help` among them."""
        return without_types(super().get_params(ctx))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Raises typer's UsageError."""
        _, extra, order = self.make_parser(ctx).parse_args(args=list(args))
        if extra and not any(isinstance(one, TyperArgument) for one in self.params):
            self._refuse_values(ctx, args, args.index(extra[0]))
        for option in order:
            once = isinstance(option, TyperOption) and not (option.multiple or option.is_flag)
            if once and sum(option is other for other in order) > 1:
                ctx.fail(f"{option.opts[0]} takes one value, and is given several times")
        left = super().parse_args(ctx, args)
        for option in self.params:
            given = ctx.params.get(str(option.name))
            is_url = isinstance(given, Path) and URL_AS_PATH.match(str(given))
            if is_url and not Path(is_url[0]).exists():
                ctx.fail(f"{option.opts[0]} takes a path of this machine, not a URL")
        return left

    def _refuse_values(self, ctx: Any, args: list[str], place: int) -> None:
        """Raises typer's UsageError if the argument at a place stands behind the value of an option
        that may be given several times."""
        flag, _, value = " ".join(args[max(0, place - 2) : place]).partition(" ")
        if "=" in args[place - 1]:
            flag, _, value = args[place - 1].partition("=")
        for option in self.params:
            if isinstance(option, TyperOption) and option.multiple and flag in option.opts:
                ctx.fail(
                    f"{flag} takes one value; to give several, repeat it: {flag} {value} {flag}"
                    f" {args[place]}"
                )


class Program(TyperGroup):
    """The program: a group of commands."""

    def get_params(self, ctx: Any) -> list[Any]:
        """The options, `--help` among them."""
        return without_types(super().get_params(ctx))


def with_common_options(command: Callable[..., int]) -> Callable[..., int]:
    """Adds the common options to a command; its first parameter receives them."""
    fields = dataclasses.fields(Common)
    made = [keyword(field.name, field.type, field.default) for field in fields]
    return with_parameters(command, made, lambda given: Common(**given), at_end=True)


def with_parameters(
    command: Callable[..., int],
    made: list[inspect.Parameter],
    gather: Callable[[dict[str, Any]], object],
    at_end: bool = False,
) -> Callable[..., int]:
    """The command, with its first parameter replaced by the generated ones (`made`)."""
    own = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for parameter in list(inspect.signature(command, eval_str=True).parameters.values())[1:]
    ]

    @functools.wraps(command)
    def wrapper(**values: Any) -> int:
        given = {p.name: values.pop(p.name) for p in made}
        return command(gather(given), **values)

    parameters = [*own, *made] if at_end else [*made, *own]
    wrapper.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    wrapper.__annotations__ = {p.name: p.annotation for p in parameters}
    return wrapper


def keyword(name: str, annotation: Any, default: Any = None) -> inspect.Parameter:
    """An option, as a parameter of a command."""
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, kind, default=default, annotation=annotation)
