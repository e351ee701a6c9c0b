"""Any combination of options trains a step, or is refused with a message that names an option."""

import itertools
import re

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from aectl.config.all_options import OPTIONS, SHORTHAND
from aectl.config.declaration import applies, declared, flag, plain_type
from aectl.config.written_options import read_toml
from aectl.data.storage.folders import ignore
from aectl.errors import AectlError, ConfigError
from aectl.training.reading import Reading
from aectl.verbs.planning import new_run, prepare

SIDE, IMAGES = 6, 20
PATHS = [name for name, field in OPTIONS.items() if declared(field).is_path]
LARGEST = {"stack": 3, "size": 12, "epochs": 3, "vocabulary": 310, "max_pixels": 2 * SIDE**2}
"""Above these, a step is only slower."""

LEAST = {"size": 6, "max_pixels": SIDE**2}
"""Below these, patches or the images themselves are refused."""

ANYTHING = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5),
    st.lists(st.integers(-1, 9), max_size=3), st.dictionaries(st.text(), st.integers(), max_size=1),
)  # fmt: skip


def sound(name):
    """Values in the option's range, where it is no larger than what a test has time for."""
    known, kind = declared(OPTIONS[name]), plain_type(OPTIONS[name])
    if known.choices:
        return st.sampled_from(known.choices)
    if kind is bool:
        return st.booleans()
    if name == "ext":
        return st.sampled_from(["png", "png,jpg", ".PNG jpg"])
    if name == "channels":
        return st.sampled_from([1, 3])
    if kind is str:
        return st.sampled_from(["f0", "none"])
    most = LARGEST.get(name, 20)
    if kind is tuple:
        return st.lists(st.integers(LEAST.get(name, 1), most), min_size=1, max_size=2)
    if kind is int:
        return st.integers(LEAST.get(name, int(known.at_least)), most)
    low = known.at_least if known.at_least is not None else known.above
    high = next((x for x in (known.at_most, known.below) if x is not None), 2.0)
    open_ends = {"exclude_min": known.above is not None, "exclude_max": known.below is not None}
    return st.floats(low, high, **open_ends) | st.sampled_from([low + 0.01 * (high - low)])


NAMES = [name for name in OPTIONS if name not in PATHS]
SOUND = st.fixed_dictionaries(
    {}, optional={name: sound(name) for name in NAMES if name != "compile"}
)
STRANGE = st.dictionaries(st.sampled_from([*NAMES, *SHORTHAND]), ANYTHING, max_size=4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of images, of two classes, of texts and of vectors."""
    here = tmp_path_factory.mktemp("set")
    chance = np.random.default_rng(0)
    for number in range(IMAGES):
        (here / "ab"[number % 2]).mkdir(exist_ok=True)
        pixels = chance.integers(0, 256, (SIDE, SIDE), np.uint8)
        Image.fromarray(pixels).save(here / "ab"[number % 2] / f"{number}.png")
    (here / "a" / "lines.txt").write_text("".join(f"line {n} of {IMAGES}\n" for n in range(IMAGES)))
    np.save(here / "b" / "rows.npy", chance.standard_normal((IMAGES, SIDE)))
    return str(here)


def never(path, reason):
    raise AssertionError(f"{path}: {reason}")


def one_step(folder, given, on_bad=never):
    """Trains a step; returns the message where it is refused."""
    try:
        config, data = prepare({"dataset": folder, **given}, {}, Reading(None, on_bad))
        run = new_run(config, data, torch.device("cpu"), None)
        list(itertools.islice(run.epochs(), 2))
    except AectlError as error:
        return str(error)
    return None


def names_an_option(message):
    return set(re.findall(r"--[a-z-]+", message)) & {flag(n) for n in (*OPTIONS, *SHORTHAND)}


def with_a_meaning(given):
    """Those of the options that depend on no other, or on one that has the value they need."""
    kept = {name: value for name, value in given.items() if name not in ("patches", "hidden")}
    while True:
        values = {name: field.default for name, field in OPTIONS.items()} | kept
        idle = [name for name in kept if not applies(OPTIONS[name], values)]
        if not idle:
            return kept
        kept = {name: value for name, value in kept.items() if name not in idle}


@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.large_base_example],
)
@given(given=SOUND.map(with_a_meaning) | SOUND)  # fmt: skip
def test_options_in_their_ranges(folder, given):
    said = one_step(folder, given)
    assert said is None or names_an_option(said), said


@settings(max_examples=200, deadline=None, derandomize=True)
@given(given=STRANGE, more=STRANGE)
def test_options_of_any_kind(folder, given, more):
    said = one_step(folder, {**given, **more}, on_bad=ignore)
    assert said is None or names_an_option(said), said


@settings(
    max_examples=10,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(given=SOUND.map(with_a_meaning))  # fmt: skip
def test_options_on_the_command_line(aectl, folder, given):
    words = []
    for name, value in (given | {"epochs": 1}).items():
        if value is False:
            words.append(f"--no-{flag(name)[2:]}")
        else:
            text = ",".join(map(str, value)) if isinstance(value, list) else value
            words.append(flag(name) if value is True else f"{flag(name)}={text}")
    done = aectl("train", "-q", "--dataset", folder, "--out", "run", "--overwrite", *words)
    torch.set_flush_denormal(False)  # hypothesis draws numbers that training rounds to 0
    if done.status == 0:
        assert done.out == "run/model.safetensors\n"
    else:
        assert (done.status, done.out) == (2, "")
        assert names_an_option(done.err), done.err


@settings(
    max_examples=100, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(text=st.text(max_size=60) | STRANGE.map(str))  # fmt: skip
def test_a_file_of_options_with_any_text_is_read_or_refused(tmp_path, text):
    path = tmp_path / "options.toml"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    try:
        read = read_toml(path)
    except ConfigError as error:
        assert str(path) in str(error)
    else:
        assert read.keys() <= {*OPTIONS, *SHORTHAND}
