"""How options are declared, read, checked and named."""

import dataclasses
import re

import pytest

from aectl.config import declaration as options
from aectl.config.all_options import OPTIONS, SECTIONS
from aectl.errors import ConfigError


@dataclasses.dataclass
class Sample:
    """An option of every type and range."""

    share: float = options.option(0.5, "A share.", above=0, below=1)
    part: float = options.option(0.0, "A part.", at_least=0, below=1)
    rate: float | None = options.option(None, "A rate.", above=0)
    count: int = options.option(1, "A count.", at_least=1)
    size: int = options.option(1, "A size.", at_least=1, at_most=4096)
    free: float = options.option(0.0, "Anything.")
    widths: tuple[int, ...] | None = options.option(None, "Widths.", lengths=(1, 3), at_least=1)
    name: str = options.option("a", "A name.", choices=("mse", "bce", "softmax-kl"))
    load_from: str | None = options.option(None, "A path.")
    tied: bool = options.option(False, "Yes or no.")
    on_share: int = options.option(1, "Needs a share.", when=("share", ()))
    on_name: int = options.option(
        1, "Needs a name.", when=("name", ("mse", "bce")), instead=(("name", "bce", 7),)
    )


FIELDS = {field.name: field for field in dataclasses.fields(Sample)}


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_has_a_help_sentence(name):
    help = options.declared(OPTIONS[name]).help
    assert re.match(r"[A-Z0-9]", help)
    assert help.endswith(".")


@pytest.mark.parametrize("name", OPTIONS)
def test_every_default_is_allowed_and_of_the_option_s_type(name):
    field = OPTIONS[name]
    known = options.declared(field)
    for value in (field.default, *(stand_in for _, _, stand_in in known.instead)):
        if value is None:
            assert known.unset
        else:
            assert options.coerce(field, value) == value
        options.check(field, value)


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_depends_on_options_and_values_that_exist(name):
    known = options.declared(OPTIONS[name])
    pairs = [(other, value) for other, value, _ in known.instead]
    if known.when:
        pairs += [(known.when[0], value) for value in known.when[1]]
        assert known.when[0] in OPTIONS
    for other, value in pairs:
        depended_on = options.declared(OPTIONS[other])
        assert value in (*depended_on.choices, *dict(depended_on.former))


def test_an_option_s_name_stands_in_one_section_alone():
    names = [field.name for kind in SECTIONS.values() for field in dataclasses.fields(kind)]
    assert sorted(names) == sorted(OPTIONS)


def test_a_flag_is_the_name_with_hyphens():
    assert options.flag("bottleneck_factor") == "--bottleneck-factor"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (True, "yes"), (False, "no"), ((1000, 500), "1000,500"), ([28, 28], "28,28"), ((), ""),
        (3000, "3,000"), (2**32 - 1, "4,294,967,295"), (0.05, "0.05"), (3.0, "3"),
        (1e-5, "1e-05"), (0.1 + 0.2, "0.3"), ("mse", "mse"), (None, "None"),
    ],
)  # fmt: skip
def test_values_are_shown_as_the_user_types_them(value, shown):
    assert options.text(value) == shown


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("share", "0 < x < 1"), ("part", "0 <= x < 1"), ("rate", "0 < x"), ("count", "1 <= x"),
        ("size", "1 <= x <= 4,096"), ("free", ""),
    ],
)  # fmt: skip
def test_ranges_are_shown_as_inequalities(name, shown):
    assert options.declared(FIELDS[name]).range_text() == shown


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("mnst", "; did you mean 'mnist'?"), ("fashion-mnis", "; did you mean 'fashion-mnist'?"),
        ("zzz", ""), ("", ""),
    ],
)  # fmt: skip
def test_a_near_miss_names_the_closest_known_word(word, hint):
    assert options.near_miss(word, ["mnist", "fashion-mnist", "digits"]) == hint


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("share", float), ("rate", float), ("count", int), ("widths", tuple), ("name", str),
        ("load_from", str), ("tied", bool),
    ],
)  # fmt: skip
def test_the_plain_type_is_the_type_without_none_or_its_content(name, kind):
    assert options.plain_type(FIELDS[name]) is kind


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("share", 1, 1.0), ("rate", 0.5, 0.5), ("count", 3, 3), ("tied", True, True),
        ("name", "mse", "mse"), ("load_from", "a b", "a b"),
        ("widths", "1000,500", (1000, 500)), ("widths", "28x28", (28, 28)),
        ("widths", "28X28", (28, 28)), ("widths", "7", (7,)),
        ("widths", " 8, 4 ", (8, 4)), ("widths", "", ()), ("widths", "  ", ()),
        ("widths", [3, 2], (3, 2)), ("widths", (3,), (3,)), ("widths", 5, (5,)),
        ("widths", [], ()), ("widths", "-1", (-1,)),
    ],
)  # fmt: skip
def test_values_are_read_in_the_type_of_their_field(name, value, expected):
    found = options.coerce(FIELDS[name], value)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("share", "0.5", "a number"), ("share", True, "a number"), ("share", [1.0], "a number"),
        ("share", None, "a number"), ("share", float("nan"), "a finite number"),
        ("share", float("inf"), "a finite number"), ("count", float("-inf"), "a finite number"),
        pytest.param("share", 10**400, "", id="400 digits"),
        ("count", 1.0, "a whole number"), ("count", "1", "a whole number"),
        ("count", True, "a whole number"), ("tied", "no", "true or false"),
        ("tied", 1, "true or false"), ("name", 1, "a text"), ("name", ["mse"], "a text"),
        ("load_from", False, "a text"), ("widths", "a", "whole numbers"),
        ("widths", "1,,2", "whole numbers"), ("widths", "1.5", "whole numbers"),
        ("widths", 1.0, "whole numbers"), ("widths", [1.0], "whole numbers"),
        ("widths", True, "whole numbers"), ("widths", [True], "whole numbers"),
        ("widths", [[1]], "whole numbers"), ("widths", {"a": 1}, "whole numbers"),
        ("widths", [None], "whole numbers"),
    ],
)  # fmt: skip
def test_values_of_another_type_are_refused_by_name(name, value, said):
    with pytest.raises(ConfigError) as caught:
        options.coerce(FIELDS[name], value)
    assert options.flag(name) in str(caught.value)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("share", 1.5, "--share must lie between 0 and 1, both excluded; 1.5 given"),
        ("share", 0.0, "--share must lie between 0 and 1, both excluded; 0 given"),
        ("share", float("nan"), "--share must lie between 0 and 1, both excluded; nan given"),
        ("part", 1.0, "--part must be at least 0 and below 1; 1 given"),
        ("part", -0.1, "--part must be at least 0 and below 1; -0.1 given"),
        ("rate", 0.0, "--rate must be above 0; 0 given"),
        ("count", 0, "--count must be at least 1; 0 given"),
        ("size", 5000, "--size must lie between 1 and 4,096; 5,000 given"),
        ("widths", (4, 0), "--widths must be at least 1; 0 given"),
        ("widths", (), "--widths takes 1 to 3 numbers; 0 given"),
        ("widths", (1, 2, 3, 4), "--widths takes 1 to 3 numbers; 4 given"),
        ("name", "bcee", "--name must be one of mse, bce, softmax-kl; 'bcee' given"
                         "; did you mean 'bce'?"),
    ],
)  # fmt: skip
def test_a_value_outside_its_range_is_refused_with_the_range(name, value, message):
    with pytest.raises(ConfigError) as caught:
        options.check(FIELDS[name], value)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("share", 1e-9), ("share", 0.999), ("part", 0.0), ("rate", None), ("rate", 1e9),
        ("size", 1), ("size", 4096), ("free", -1e9), ("widths", (1,)), ("widths", None),
        ("name", "softmax-kl"),
    ],
)  # fmt: skip
def test_values_within_their_range_pass(name, value):
    options.check(FIELDS[name], value)


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("count", {}, True), ("on_name", {"name": "bce"}, True),
        ("on_name", {"name": "softmax-kl"}, False), ("on_share", {"share": 0.1}, True),
        ("on_share", {"share": 0.0}, False), ("on_share", {"share": None}, False),
    ],
)  # fmt: skip
def test_an_option_applies_where_the_one_it_depends_on_is_set_so(name, values, expected):
    assert options.applies(FIELDS[name], values) is expected


@pytest.mark.parametrize(("other", "expected"), [("mse", 1), ("bce", 7)])
def test_a_default_can_depend_on_another_option(other, expected):
    assert options.default(FIELDS["on_name"], {"name": other}) == expected
