"""Options from several layers: those given, over those of a file, over those of a model."""

from collections.abc import Mapping
from typing import Any

from aectl.config import declaration as options
from aectl.config.all_options import OPTIONS, SHORTHAND
from aectl.config.sparsity import NONE
from aectl.errors import ConfigError

WIDTHS = ("hidden", "bottleneck_factor")
"""Two options for the same value, of which only one may be given."""


FILE = 1
"""The place of the layer that may be a file that a user wrote."""


def combined(*layers: Mapping[str, object]) -> dict[str, Any]:
    """The values of all options, from layers in order of priority, highest first.

    An option that has no effect without another option is refused if that is not set. In a layer
    beneath another, it is dropped instead, if a layer above made it ineffective; so is a value of a
    run's file that was only the default of an option that a layer above changed.

    Raises ConfigError, naming the option.
    """
    asked: dict[str, object] = {}
    for number, layer in enumerate(map(coerced, layers)):
        _refuse_two_widths(layer)
        for name in layer.keys() - asked.keys():
            options.check(OPTIONS[name], layer[name])
        of_user = number == FILE and not _is_of_a_run(layer)
        asked = {**_effective(layer, asked, of_user), **asked}
    values = _filled(asked)
    _refuse_idle(asked, values)
    return values


def coerced(given: Mapping[str, object]) -> dict[str, object]:
    """The options in the types of their fields, shorthands expanded. Raises ConfigError."""
    result: dict[str, object] = {}
    for name, value in given.items():
        if name in SHORTHAND:
            target, stands_for = SHORTHAND[name]
            if not isinstance(value, bool):
                raise ConfigError(f"{options.flag(name)} must be true or false; {value!r} given")
            if value and given.get(target, stands_for) == NONE:
                raise ConfigError(f"{options.flag(name)} and {options.flag(target)} none disagree")
            if value:
                result.setdefault(target, stands_for)
        elif name in OPTIONS:
            result[name] = options.coerce(OPTIONS[name], value)
        else:
            raise ConfigError(f"no option '{name}'{options.near_miss(name, OPTIONS)}")
    refuse_former(result)
    return result


def refuse_former(values: Mapping[str, object], where: str = "") -> None:
    """Raises ConfigError for a choice that only models of older versions have; `where` tells where
    it was found, if it was not given.
    """
    for name, field in OPTIONS.items():
        for former, instead in options.declared(field).former:
            if values.get(name) == former:
                raise ConfigError(
                    f"{where}{options.flag(name)} {former} can no longer be trained;"
                    f" {instead} took its place"
                )


def _filled(given: Mapping[str, object]) -> dict[str, Any]:
    """The given options, and the defaults of all others."""
    values: dict[str, Any] = dict(given)
    for name in OPTIONS:
        _fill(name, values)
    return values


def _fill(name: str, values: dict[str, Any]) -> None:
    """Adds the value of an option, after those of the options that its default depends on."""
    if name not in values:
        field = OPTIONS[name]
        for other in options.needed(field):
            _fill(other, values)
        values[name] = options.default(field, values)


def _effective(
    beneath: Mapping[str, object], given: Mapping[str, object], of_user: bool
) -> dict[str, object]:
    """The options of a layer without those that the given ones override or make ineffective. What
    a user wrote was chosen, and is no default."""
    alone = _filled(beneath)
    kept = {name: value for name, value in beneath.items() if name not in given}
    for one, instead in (WIDTHS, WIDTHS[::-1]):
        if one in given:
            kept.pop(instead, None)
    other = any(given.get(name, alone[name]) != alone[name] for name in ("model", "bottleneck"))
    if other and not of_user:
        kept.pop("hidden", None)
    while True:
        values = _filled({**kept, **given})
        idle = [name for name in kept if _outdated(name, alone, values, of_user)]
        if not idle:
            return kept
        for name in idle:
            del kept[name]


def _is_of_a_run(layer: Mapping[str, object]) -> bool:
    """Whether a layer has the options as a run resolved them, defaults included: most of those that
    have an effect."""
    alone = _filled(layer)
    effective = [
        name
        for name, value in alone.items()
        if value is not None and options.applies(OPTIONS[name], alone)
    ]
    return 2 * sum(name in layer for name in effective) > len(effective)


def _outdated(
    name: str, alone: Mapping[str, object], values: Mapping[str, object], of_user: bool
) -> bool:
    """Whether an option of a layer has become ineffective, or was only a default that changed."""
    field = OPTIONS[name]
    if options.applies(field, alone) and not options.applies(field, values):
        return True
    usual = options.default(field, alone)
    was_default = not of_user and alone[name] == usual
    return bool(was_default and usual != options.default(field, values))


def _refuse_two_widths(given: Mapping[str, object]) -> None:
    if all(name in given for name in WIDTHS):
        raise ConfigError(f"give either {' or '.join(map(options.flag, WIDTHS))}, not both")


def _refuse_idle(given: Mapping[str, object], values: Mapping[str, object]) -> None:
    for name in given:
        if options.applies(OPTIONS[name], values):
            continue
        if not options.suits(OPTIONS[name], values):
            raise ConfigError(f"{options.flag(name)} has no effect on {values['modality']}")
        condition = options.declared(OPTIONS[name]).when
        assert condition is not None
        other, wanted = condition
        former = dict(options.declared(OPTIONS[other]).former)
        able = " or ".join(str(value) for value in wanted if value not in former)
        needed = f"{options.flag(other)} {able}".strip()
        short = [
            flag
            for flag, target in SHORTHAND.items()
            if (other, wanted) == (target[0], (target[1],))
        ]
        if short:
            needed = f"{options.flag(short[0])} ({needed})"
        raise ConfigError(f"{options.flag(name)} has no effect without {needed}")
