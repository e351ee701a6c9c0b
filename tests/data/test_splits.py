"""What the seed draws of a training set: the images held out, and those of few labels."""

import dataclasses
import functools
from pathlib import Path

import numpy as np
import pytest

from aectl.data import datasets
from aectl.data.splits import few_labels, split
from aectl.errors import ConfigError


@functools.cache
def digits(count=1437):
    images = datasets.load("digits", Path("none"), split="train")
    return dataclasses.replace(images, images=images.images[:count], labels=images.labels[:count])


@pytest.mark.parametrize(("part", "held_out"), [(0.1, 12), (0.25, 30), (0.5, 60), (0.99, 119)])
def test_the_validation_split_is_disjoint_complete_and_of_the_right_size(part, held_out):
    training, validation = split(120, part, seed=0)
    assert len(validation) == held_out
    assert sorted([*training, *validation]) == list(range(120))


def test_the_seed_decides_which_images_are_held_out():
    chosen = [split(120, 0.2, seed)[1] for seed in (0, 0, 1)]
    assert np.array_equal(chosen[0], chosen[1])
    assert not np.array_equal(chosen[0], chosen[2])


def test_without_a_part_nothing_is_held_out():
    training, validation = split(120, 0.0, 0)
    assert training.tolist() == list(range(120))
    assert len(validation) == 0


@pytest.mark.parametrize(("count", "part"), [(120, 0.001), (1, 0.5), (2, 0.9)])
def test_a_split_that_leaves_one_side_empty_is_refused(count, part):
    with pytest.raises(ConfigError, match="--validation"):
        split(count, part, 0)


@pytest.mark.parametrize("count", [10, 25, 100])
def test_few_labels_are_as_many_of_each_class_and_the_seed_draws_them(count):
    images, rows = digits(), np.arange(300, 1437)
    drawn = [few_labels(images, rows, count, seed) for seed in (0, 0, 1)]
    for one in drawn:
        shares = np.bincount(images.labels[one], minlength=10)
        assert shares.sum() == count == len(np.unique(one))
        assert shares.max() - shares.min() <= 1
        assert one.min() >= 300
    assert np.array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])


def test_more_labels_than_a_class_has_images_are_refused():
    with pytest.raises(ConfigError, match="--labels 1500 asks for 150 images of class 0"):
        few_labels(digits(), np.arange(1437), 1500, 0)
