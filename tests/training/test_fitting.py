"""The options with which a training fits into memory."""

import argparse
import dataclasses

import pytest
from training.test_scale import PHOTO, images

from aectl.training.fitting import options_that_fit


def numbers(between):
    return lambda text: tuple(map(int, text.split(between)))


def asked(words):
    """The options of words such as `--hidden 5,6`."""
    parser = argparse.ArgumentParser()
    for sides in ("--size", "--crop"):
        parser.add_argument(sides, type=numbers("x"))
    for number in ("--batch-size", "--stride", "--length", "--channels"):
        parser.add_argument(number, type=int)
    parser.add_argument("--hidden", type=numbers(","))
    parser.add_argument("--model")
    found = vars(parser.parse_args(words.split()))
    return {name: value for name, value in found.items() if value is not None}


def named(found):
    """The options of each suggestion, such as `--model --crop`."""
    return [" ".join(word for word in words.split() if word[0] == "-") for words in found]


LARGE = (3, 512, 512)
SIZE_WIDTH_GREY = ["--size", "--hidden", "--channels"]
TOO_LARGE = {
    "dense": (PHOTO, {}, ["--size", "--hidden", "--channels", "--model", "--model"]),
    "fixed widths": (PHOTO, {"hidden": (3000, 500)}, SIZE_WIDTH_GREY),
    "muon": (PHOTO, {"optimizer": "muon", "hidden": (5000,)}, SIZE_WIDTH_GREY),
    "given k": (PHOTO, {"hidden": (20_000,), "sparsity": "topk", "k": 50}, SIZE_WIDTH_GREY),
    "many at a time": (PHOTO, {"hidden": (4000,), "batch_size": 1000}, SIZE_WIDTH_GREY),
    "all at a time": (PHOTO, {"hidden": (4000,), "optimizer": "lbfgs"}, SIZE_WIDTH_GREY),
    "vector": (
        LARGE, {"model": "conv-autoencoder", "bottleneck": "vector"}, ["--size", "--batch-size"],
    ),
    "map": (
        LARGE, {"model": "conv-autoencoder", "sparsity": "topk", "k": 50},
        ["--size", "--batch-size"],
    ),
    "crops": (
        LARGE, {"model": "conv-autoencoder", "crop": (256, 512), "batch_size": 64},
        ["--crop", "--size --crop", "--hidden", "--batch-size"],
    ),
    "winners": (LARGE, {"model": "conv-wta-autoencoder"}, ["--size", "--hidden", "--batch-size"]),
    "patches": (LARGE, {"model": "patch-autoencoder"}, ["--stride", "--size", "--hidden"]),
    "classifier": (PHOTO, {"model": "classifier", "hidden": (9000,)}, SIZE_WIDTH_GREY),
}  # fmt: skip


@pytest.mark.parametrize(("shape", "options", "expected"), TOO_LARGE.values(), ids=TOO_LARGE)
def test_each_option_that_is_said_to_fit_does_and_hardly_more_would(shape, options, expected):
    classes = 10 if options.get("model") == "classifier" else 0
    sketch = images(shape, 1000, classes, **options)
    room = sketch.needed / 2
    found = options_that_fit(sketch, room)
    assert named(found) == expected
    for words in found:
        given = {**options, **asked(words)}
        of_size = (given.pop("channels", 3), *given.pop("size", shape[1:]))
        needed = images(of_size, 1000, classes, **given).needed
        closely = not {"--model", "--stride", "--channels"}.intersection(words.split())
        least = 0.6 * room if closely else 0
        assert least <= needed <= room


@pytest.mark.parametrize("hidden", [None, (1000, 30)], ids=["usual", "given"])
def test_where_no_width_fits_other_kinds_are_named_with_what_they_need(hidden):
    given = {} if hidden is None else {"hidden": hidden}
    widths = "" if hidden is None else " --hidden"
    sketch = images((3, 3000, 2000), inputs=250, **given)
    found = options_that_fit(sketch, 8 * 2**30)
    assert named(found) == ["--size", f"--model{widths}", f"--model{widths} --stride"]
    for words in found:
        changed = {**given, **asked(words)}
        shape = (3, *changed.pop("size", (3000, 2000)))
        assert images(shape, inputs=250, **changed).needed <= 8 * 2**30


def test_a_kind_that_other_options_exclude_is_not_named():
    sketch = images(PHOTO, tied=True, dropout=0.5)
    found = options_that_fit(sketch, sketch.needed / 3)
    assert [words for words in found if "--model" in words] == ["--model patch-autoencoder"]


def test_images_yet_to_be_read_need_their_memory_at_the_size_that_is_named():
    """At their own size, they are more than may be in memory, and go into a file."""
    whole = {"model": "conv-autoencoder", "sparsity": "topk", "k": 50}
    sketch = images(PHOTO, inputs=100_000, **whole)
    sketch = dataclasses.replace(sketch, stored=100_000 * 3 * 128 * 128, kept=3 * 2**30)
    room = 5 * 2**27
    (words,) = (words for words in options_that_fit(sketch, room) if words.startswith("--size"))
    smaller = images((3, *asked(words)["size"]), inputs=100_000, **whole)
    _, height, width = smaller.architecture.shape
    assert smaller.needed + 100_000 * 3 * height * width <= room


def test_the_sizes_of_a_model_that_training_starts_from_stay():
    sketch = images(PHOTO, 9000, hidden=(1000,), batch_size=3000)
    assert {"--size", "--hidden"} < set(named(options_that_fit(sketch, 0.95 * sketch.needed)))
    found = options_that_fit(dataclasses.replace(sketch, settled=True), 0.95 * sketch.needed)
    assert named(found) == ["--batch-size", "--optimizer-state"]


MOMENTS = {
    "adam": ({}, True),
    "adamw": ({"optimizer": "adamw"}, True),
    "in bfloat16": ({"optimizer_state": "bf16"}, False),
    "sgd": ({"optimizer": "sgd", "lr": 0.1}, False),
    "muon": ({"optimizer": "muon"}, False),
}


@pytest.mark.parametrize(("options", "halved"), MOMENTS.values(), ids=MOMENTS)
def test_moments_in_bfloat16_are_named_where_that_fits_and_is_new(options, halved):
    """A quarter of weights, gradients and moments in float32 are half of the moments."""
    sketch = images(PHOTO, hidden=(5000,), **options)
    assert ("--optimizer-state bf16" in options_that_fit(sketch, 0.8 * sketch.needed)) == halved
    assert "--optimizer-state bf16" not in options_that_fit(sketch, 0.7 * sketch.needed)


def test_a_classifier_on_a_model_has_widths_of_its_own():
    encoder = images(PHOTO, hidden=(500,)).architecture
    sketch = images(PHOTO, classes=10, model="classifier", hidden=(30_000, 30_000))
    architecture = dataclasses.replace(sketch.architecture, encoder=encoder)
    sketch = dataclasses.replace(sketch, architecture=architecture, settled=True)
    assert named(options_that_fit(sketch, sketch.needed / 3)) == ["--hidden"]


def test_nothing_fits_into_nothing():
    assert options_that_fit(images(), 1000) == []
