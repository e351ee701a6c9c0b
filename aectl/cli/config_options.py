"""The options of `train`, made from the fields of the config."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

import typer

from aectl.cli.options import keyword, with_parameters
from aectl.config import declaration as options
from aectl.config.all_options import OPTIONS, SECTIONS, SHORTHAND
from aectl.config.sweep import takes_several

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


def divided(given: dict[str, object]) -> tuple[dict[str, object], dict[str, tuple[float, ...]]]:
    """The options that were given one value, and those that were given several, of which each is to
    be tried."""
    swept = {
        name: value
        for name, value in given.items()
        if isinstance(value, tuple) and takes_several(OPTIONS[name])
    }
    return {name: value for name, value in given.items() if name not in swept}, swept


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
    several = partial(_number_or_several, kind) if takes_several(field) else None
    info = typer.Option(
        f"{flag}/--no-{flag[2:]}" if kind is bool else flag,
        parser=several,
        metavar=METAVARS_OF.get(field.name, METAVARS.get(kind)),
        help=_help(field),
        autocompletion=(lambda: choices) if choices else None,
        show_default=False,
        rich_help_panel=panel,
    )
    return keyword(field.name, Annotated[typed | None, info])


def _number_or_several(kind: type[float], given: str) -> float | tuple[float, ...]:
    """A number, or several that are separated by commas. Raises typer's BadParameter."""
    numbers = []
    for word in given.split(","):
        try:
            numbers.append(kind(word))
        except ValueError:
            called = "integer" if kind is int else "float"
            raise typer.BadParameter(f"{word!r} is not a valid {called}.") from None
    return numbers[0] if len(numbers) == 1 else tuple(numbers)


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
