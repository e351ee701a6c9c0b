"""The options that several commands share, and those of `train`, made from the config's fields."""

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from aectl import options
from aectl.config import SECTIONS, SHORTHAND

RUN = "How it runs"

Model = Annotated[
    Path,
    typer.Argument(metavar="MODEL", help="A .safetensors file, or a run folder that holds one."),
]
Input = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[INPUT]...",
        help="Datasets (mnist, mnist:train), image files, folders, or - for paths on stdin. "
        "Without one: the test split of the dataset that the model was trained on.",
        show_default=False,
    ),
]
Null = Annotated[
    bool, typer.Option("--null", "-0", help="Paths on stdin are separated by NUL characters.")
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out", "-o",
        help="Write to this file; its ending (.csv .csv.gz .jsonl .parquet .npz) is the format.",
        show_default="CSV on stdout",
    ),
]  # fmt: skip
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what exists.")]
Errors = Annotated[
    Path | None,
    typer.Option("--errors", help="Write the inputs that could not be read to this CSV file."),
]
DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        envvar="AECTL_DATA_DIR",
        help="Folder of the named datasets, in torchvision's layout.",
        show_default="the user's cache",
        rich_help_panel=RUN,
    ),
]
Device = Annotated[
    Literal["auto", "cpu", "cuda", "mps"],
    typer.Option("--device", help="Where the network runs.", rich_help_panel=RUN),
]
BatchSize = Annotated[
    int, typer.Option("--batch-size", help="Images at a time.", min=1, rich_help_panel=RUN)
]
Threads = Annotated[
    int | None,
    typer.Option(
        "--threads", help="CPU threads of torch.", min=1, show_default="all", rich_help_panel=RUN
    ),
]
Quiet = Annotated[
    bool,
    typer.Option("--quiet", "-q", help="Say nothing but errors on stderr.", rich_help_panel=RUN),
]
Debug = Annotated[
    bool, typer.Option("--debug", help="Show the traceback of an error.", rich_help_panel=RUN)
]

METAVARS = {int: "N", float: "X", tuple: "N,...", str: "NAME"}
PANELS = {"data": "Data", "model": "Model", "loss": "Loss", "training": "Training"}


def with_config_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a command an option for each field of the config.

    The command's first parameter receives those that the user gave, by name.
    """
    own = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for parameter in list(inspect.signature(command, eval_str=True).parameters.values())[1:]
    ]
    made = _config_parameters()

    @functools.wraps(command)
    def wrapper(**values: Any) -> Any:
        given = {p.name: values.pop(p.name) for p in made}
        return command({k: v for k, v in given.items() if v is not None}, **values)

    parameters = [*made, *own]
    wrapper.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    wrapper.__annotations__ = {p.name: p.annotation for p in parameters}
    return wrapper


def _config_parameters() -> list[inspect.Parameter]:
    made = []
    for section, kind in SECTIONS.items():
        for name, field in kind.__dataclass_fields__.items():
            made.append(_parameter(field, PANELS[section]))
            for short, (target, value) in SHORTHAND.items():
                if target == name:
                    made.append(_shorthand(short, target, value, PANELS[section]))
    return made


def _parameter(field: Any, panel: str) -> inspect.Parameter:
    known = options.declared(field)
    kind = options.plain_type(field)
    typed = {tuple: str}.get(kind, kind)
    choices = known.choices
    flag = options.flag(field.name)
    info = typer.Option(
        f"{flag}/--no-{flag[2:]}" if kind is bool else flag,
        metavar=METAVARS.get(kind),
        help=_help(field),
        autocompletion=(lambda: list(choices)) if choices else None,
        show_default=False,
        rich_help_panel=panel,
    )
    return _keyword(field.name, Annotated[typed | None, info])


def _shorthand(name: str, target: str, value: str, panel: str) -> inspect.Parameter:
    info = typer.Option(
        options.flag(name),
        help=f"The same as {options.flag(target)} {value}.",
        show_default=False,
        rich_help_panel=panel,
    )
    return _keyword(name, Annotated[bool | None, info])


def _keyword(name: str, annotation: Any) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation
    )


def _help(field: Any) -> str:
    """The option's sentence, what is allowed, and the default."""
    known = options.declared(field)
    parts = [known.help]
    if not all(choice in known.help for choice in known.choices):
        parts.append(f"One of {', '.join(known.choices)}.")
    if allowed := known.range_text():
        parts.append(f"({allowed})")
    return " ".join(parts) + f" \\[default: {_default_text(field)}]"


def _default_text(field: Any) -> str:
    known = options.declared(field)
    parts = [known.unset or options.text(field.default)]
    parts += [
        f"{options.text(stand_in)} with {options.flag(other)} {value}"
        for other, value, stand_in in known.instead
    ]
    return "; ".join(parts)
