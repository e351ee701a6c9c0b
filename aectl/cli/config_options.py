"""The options of `train`, made from the fields of the config."""

import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

from aectl.cli.options import keyword, with_parameters
from aectl.config import declaration as options
from aectl.config.all_options import SECTIONS, SHORTHAND

METAVARS = {int: "N", float: "X", tuple: "N,...", str: "NAME"}
METAVARS_OF = {
    "value_range": "LOW,HIGH",
    "size": options.SIDES,
    "ext": "NAME,...",
    "dataset": "INPUT",
    "include": "PATTERN",
    "exclude": "PATTERN",
}
PANELS = {"data": "Data", "model": "Model", "loss": "Loss", "training": "Training"}


def with_config_options(command: Callable[..., int]) -> Callable[..., int]:
    """Adds an option to a command for each field of the config.

    The command's first parameter receives the options that the user gave, by name.
    """
    return with_parameters(
        command,
        _config_parameters(),
        lambda values: {name: value for name, value in values.items() if value not in (None, [])},
    )


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
    typed = {tuple: list[str] if options.element_type(field) is str else str}.get(kind, kind)
    choices = [str(choice) for choice in known.choices]
    flag = options.flag(field.name)
    info = typer.Option(
        f"{flag}/--no-{flag[2:]}" if kind is bool else flag,
        metavar=METAVARS_OF.get(field.name, METAVARS.get(kind)),
        help=_help(field),
        autocompletion=(lambda: choices) if choices else None,
        show_default=False,
        rich_help_panel=panel,
    )
    return keyword(field.name, Annotated[typed | None, info])


def _shorthand(name: str, target: str, value: str, panel: str) -> inspect.Parameter:
    info = typer.Option(
        options.flag(name),
        help=f"The same as {options.flag(target)} {value}.",
        show_default=False,
        rich_help_panel=panel,
    )
    return keyword(name, Annotated[bool | None, info])


def _help(field: Any) -> str:
    """The option's help sentence, its range and its default."""
    known = options.declared(field)
    parts = [known.help]
    choices = [str(choice) for choice in known.choices]
    if not all(choice in known.help for choice in choices):
        parts.append(f"One of {', '.join(choices)}.")
    if allowed := known.range_text():
        parts.append(f"({allowed})")
    return " ".join(parts) + f" \\[default: {_default_text(field)}]"


def _default_text(field: Any) -> str:
    """The default, and those that stand in for it with some values of other options."""
    known = options.declared(field)
    values: dict[tuple[str, str], list[str]] = {}
    for other, value, stand_in in known.instead:
        if stand_in != field.default:
            values.setdefault((options.text(stand_in), options.flag(other)), []).append(str(value))
    parts = [known.unset or options.text(field.default)]
    parts += [f"{text} with {flag} {' or '.join(of)}" for (text, flag), of in values.items()]
    return "; ".join(parts)
