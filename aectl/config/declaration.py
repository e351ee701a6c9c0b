"""Declarations of options, each made once, on a field of a frozen config."""

import dataclasses
import difflib
import math
import os
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from aectl.config.spelling import as_given
from aectl.errors import ConfigError

CLOSE = 0.75
"""Minimum similarity of a suggested option, from 0 to 1."""

SIDES = "HEIGHTxWIDTH"
"""The form of a size, as help and messages show it."""


@dataclass(frozen=True)
class Option:
    """The declaration of an option, besides its type and its default.

    `when`: the option that this one depends on, and the values with which this one has an effect
    (none: any value). `modalities`: the kinds of input with which it has one (none: all);
    `limited`: values that have one with some kinds of input alone, each with these.
    `former`: choices that only models of older versions have, each with what took its place.
    `instead`: (option, value, default), a default that replaces the usual one if
    the other option has that value. `computed`: options, and a function that gives the default from
    their values (None: it depends on the inputs). `unset`: the description of such a default.
    `form`: how several numbers are written. `is_path`: whether `~` at its start is the home
    folder.
    """

    help: str
    choices: tuple[object, ...] = ()
    above: float | None = None
    below: float | None = None
    at_least: float | None = None
    at_most: float | None = None
    lengths: tuple[int, int] | None = None
    when: tuple[str, tuple[object, ...]] | None = None
    modalities: tuple[str, ...] = ()
    limited: tuple[tuple[object, tuple[str, ...]], ...] = ()
    former: tuple[tuple[object, str], ...] = ()
    instead: tuple[tuple[str, object, object], ...] = ()
    computed: tuple[tuple[str, ...], Callable[..., object]] | None = None
    unset: str = ""
    form: str = ""
    is_path: bool = False

    def range_text(self) -> str:
        """The allowed range as help shows it, such as `0 < x < 1`; empty if there is no limit."""
        low = high = ""
        if self.above is not None:
            low = f"{text(self.above)} < "
        if self.at_least is not None:
            low = f"{text(self.at_least)} <= "
        if self.below is not None:
            high = f" < {text(self.below)}"
        if self.at_most is not None:
            high = f" <= {text(self.at_most)}"
        return f"{low}x{high}" if low or high else ""


def option(default: Any, help: str, **known: Any) -> Any:
    """A dataclass field that is an option of `aectl train`; `known` are the fields of `Option`."""
    return dataclasses.field(default=default, metadata={"option": Option(help, **known)})


class Section:
    """A frozen dataclass of options that checks each of them when it is made."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            check(field, getattr(self, field.name))


def flag(name: str) -> str:
    """`bottleneck_factor` as the user types it: `--bottleneck-factor`."""
    return "--" + name.replace("_", "-")


def text(value: object) -> str:
    """A value as the user types it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple | list):
        return ",".join(str(part) for part in value)
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.10g}" if isinstance(value, float) else str(value)


def near_miss(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'mnist'?` if a known name is close to `word`, else nothing."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean '{close[0]}'?" if close else ""


def close_options(given: str, known: Iterable[str]) -> list[str]:
    """Existing options whose names, without dashes, are similar to a given unknown option."""
    names = {flag.lstrip("-"): flag for flag in known}
    close = difflib.get_close_matches(given.lstrip("-"), names, n=2, cutoff=CLOSE)
    return [names[name] for name in close]


def declared(field: "dataclasses.Field[Any]") -> Option:
    """The declaration behind a config's field."""
    found: Option = field.metadata["option"]
    return found


def plain_type(field: "dataclasses.Field[Any]") -> Any:
    """The type of a field without its `| None`: int, float, bool, str or tuple."""
    hint = _hint(field)
    return typing.get_origin(hint) or hint


def element_type(field: "dataclasses.Field[Any]") -> Any:
    """The type of the values in an option that is a tuple; None for any other."""
    return next(iter(typing.get_args(_hint(field))), None)


def _hint(field: "dataclasses.Field[Any]") -> Any:
    hint = field.type
    if isinstance(hint, types.UnionType):
        hint = next(part for part in typing.get_args(hint) if part is not type(None))
    return hint


def coerce(field: "dataclasses.Field[Any]", value: object) -> Any:
    """Converts `value`, from the command line or a TOML file, to the type of the field.

    Raises ConfigError if it has another type.
    """
    wanted = plain_type(field)
    if wanted is tuple:
        if element_type(field) is str:
            texts = _texts(field.name, value)
            return tuple(map(_from_home, texts)) if declared(field).is_path else texts
        if element_type(field) is float:
            return _fractions(field.name, value)
        return _numbers(field, value)
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        value = _as_float(field.name, value)
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{flag(field.name)} must be a finite number; {value} given")
    if isinstance(value, str):
        value = as_given(value)
    if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
        article = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
        raise ConfigError(f"{flag(field.name)} must be {article[wanted]}; {value!r} given")
    if isinstance(value, str) and declared(field).is_path:
        return _from_home(value)
    return value


def _from_home(path: str) -> str:
    """A path, or one behind a word such as `patches:`, with the home folder in place of `~`, unless
    there is a file of just that name."""
    kind, colon, rest = path.rpartition(":")
    if not rest.startswith("~") or os.path.lexists(path) or os.path.lexists(rest):
        return path
    return kind + colon + os.path.expanduser(rest)


def _texts(name: str, value: object) -> tuple[str, ...]:
    """Strings from a list, or a single string."""
    parts = [value] if isinstance(value, str) else value
    if not isinstance(parts, list | tuple) or not all(isinstance(part, str) for part in parts):
        raise ConfigError(f"{flag(name)} must be a list of strings; {value!r} given")
    return tuple(map(as_given, parts))


def _as_float(name: str, value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        raise ConfigError(f"{flag(name)} must be a finite number; a larger one given") from None


def _numbers(field: "dataclasses.Field[Any]", value: object) -> tuple[int, ...]:
    """Whole numbers from `1000,500`, `28x28`, a list, or a single number."""
    parts: list[Any]
    if isinstance(value, str):
        parts = value.lower().replace("x", ",").split(",") if value.strip() else []
    else:
        parts = list(value) if isinstance(value, list | tuple) else [value]
    try:
        if any(isinstance(part, bool | float) for part in parts):
            raise ValueError
        return tuple(int(part) for part in parts)
    except (ValueError, TypeError):
        wanted = declared(field).form or "whole numbers such as 1000,500"
        raise ConfigError(f"{flag(field.name)} must be {wanted}; {value!r} given") from None


def _fractions(name: str, value: object) -> tuple[float, ...]:
    """Numbers from `-0.5,2.5` or a list."""
    parts = value.split(",") if isinstance(value, str) else value
    try:
        if not isinstance(parts, list | tuple) or any(isinstance(part, bool) for part in parts):
            raise ValueError
        numbers = tuple(float(part) for part in parts)
        if not all(map(math.isfinite, numbers)):
            raise ValueError
    except (ValueError, TypeError, OverflowError):
        raise ConfigError(
            f"{flag(name)} must be numbers such as -0.5,2.5; {value!r} given"
        ) from None
    return numbers


def shortest(field: "dataclasses.Field[Any]", value: Any) -> Any:
    """A value as files hold it: one path of an option that takes several without its list."""
    paths = plain_type(field) is tuple and declared(field).is_path
    return value[0] if paths and len(value) == 1 else value


def check(field: "dataclasses.Field[Any]", value: Any) -> None:
    """Raises ConfigError if the declaration of the field does not allow `value`."""
    known = declared(field)
    if value is None:
        return
    if known.choices and value not in (*known.choices, *dict(known.former)):
        names = list(map(str, known.choices))
        allowed = " or ".join(names) if len(names) == 2 else f"one of {', '.join(names)}"
        close = near_miss(value, names) if isinstance(value, str) else ""
        raise ConfigError(f"{flag(field.name)} must be {allowed}; {value!r} given{close}")
    if known.lengths and not known.lengths[0] <= len(value) <= known.lengths[1]:
        wanted = known.form or f"{known.lengths[0]} to {known.lengths[1]} numbers"
        given = f"{len(value)} numbers" if known.form else len(value)
        raise ConfigError(f"{flag(field.name)} takes {wanted}; {given} given")
    for number in value if isinstance(value, tuple) else (value,):
        if not _within(known, number):
            raise ConfigError(f"{flag(field.name)} must {_allowed(known)}; {text(number)} given")


def _within(known: Option, number: Any) -> bool:
    return (
        (known.above is None or number > known.above)
        and (known.below is None or number < known.below)
        and (known.at_least is None or number >= known.at_least)
        and (known.at_most is None or number <= known.at_most)
    )


def _allowed(known: Option) -> str:
    if known.above is not None and known.below is not None:
        return f"lie between {text(known.above)} and {text(known.below)}, both excluded"
    if known.at_least is not None and known.at_most is not None:
        return f"lie between {text(known.at_least)} and {text(known.at_most)}"
    low = f"be above {text(known.above)}" if known.above is not None else ""
    low = low or f"be at least {text(known.at_least)}"
    if known.below is not None:
        return f"{low} and below {text(known.below)}"
    return f"{low} and at most {text(known.at_most)}" if known.at_most is not None else low


def applies(field: "dataclasses.Field[Any]", values: Mapping[str, object]) -> bool:
    """Whether the option has an effect, given the `values` of the other options."""
    condition = declared(field).when
    if not suits(field, values):
        return False
    if condition is None:
        return True
    other, wanted = condition
    return values[other] in wanted if wanted else values[other] not in (None, 0.0, "")


def suits(field: "dataclasses.Field[Any]", values: Mapping[str, object]) -> bool:
    """Whether the option has an effect with the kind of input, where that is among the `values`."""
    known = declared(field).modalities
    return not known or values.get("modality") in (None, *known)


def refuse_limited(field: "dataclasses.Field[Any]", value: object, modality: str | None) -> None:
    """Raises ConfigError for a value that has no effect with a kind of input, if that is known."""
    for limited, modalities in declared(field).limited:
        if value == limited and modality not in (None, *modalities):
            raise ConfigError(f"{flag(field.name)} {text(value)} has no effect on {modality}")


def default(field: "dataclasses.Field[Any]", values: Mapping[str, object]) -> Any:
    """The default of a field, given the options before it."""
    known = declared(field)
    for other, value, stand_in in known.instead:
        if values.get(other) == value:
            return stand_in
    if known.computed:
        names, compute = known.computed
        return compute(*(values[name] for name in names))
    return field.default


def needed(field: "dataclasses.Field[Any]") -> tuple[str, ...]:
    """The options that the default of a field depends on."""
    known = declared(field)
    others = tuple(other for other, _, _ in known.instead)
    return others + known.computed[0] if known.computed else others
