"""What the seed draws of a training set: the images held out, and those of few labels."""

import dataclasses
import functools
from pathlib import Path

import numpy as np
import pytest

from aectl.data.images import datasets
from aectl.data.splits import few_labels, held_out, split, stratified
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


def labels_of(*sizes):
    """So many images of each class, mixed."""
    labels = np.repeat(np.arange(len(sizes)), sizes)
    return np.random.default_rng(3).permutation(labels)


@pytest.mark.parametrize(
    ("sizes", "part", "shares"),
    [
        ((90, 10), 0.1, (9, 1)),
        ((100, 100, 2), 0.5, (50, 50, 1)),
        ((1000, 3), 0.1, (100, 0)),
        ((98, 1, 1), 0.2, (20, 0, 0)),
        ((5, 5), 0.8, (4, 4)),
        ((30, 30, 30), 1 / 9, (4, 3, 3)),
        ((2, 2, 2, 94), 0.9, (1, 1, 1, 87)),
    ],
)
def test_each_class_gives_its_share_and_keeps_an_image(sizes, part, shares):
    labels = labels_of(*sizes)
    training, held = stratified(labels, list("abcd"), part, seed=0)
    assert sorted([*training, *held]) == list(range(sum(sizes)))
    assert np.bincount(labels[held], minlength=len(sizes)).tolist() == list(shares)
    assert len(held) == round(part * sum(sizes))


def test_the_seed_decides_which_images_of_a_class_are_held_out():
    labels = labels_of(50, 20)
    first, same, other = (stratified(labels, "ab", 0.2, seed)[1].tolist() for seed in (0, 0, 1))
    assert first == same != other


def test_a_class_too_small_for_validation_is_named(logged):
    stratified(labels_of(98, 1, 1), ["cat", "fox", "owl"], 0.2, seed=0)
    assert "no images of these are held out: fox, owl" in logged.getvalue()


@pytest.mark.parametrize(("sizes", "part"), [((5, 5), 0.9), ((1, 1), 0.5), ((500, 500), 0.0001)])
def test_a_split_that_leaves_a_class_or_the_measure_nothing_is_refused(sizes, part):
    with pytest.raises(ConfigError, match="--validation"):
        stratified(labels_of(*sizes), "ab", part, 0)


def test_without_labels_the_split_of_a_seed_is_the_one_that_it_was():
    """Computed by the first version: the random permutation's first rows are held out."""
    images = dataclasses.replace(digits(100), labels=None, classes=())
    training, held = held_out(images, 0.2, 7)
    order = np.random.default_rng(7).permutation(100)
    assert held.tolist() == sorted(order[:20])
    assert training.tolist() == sorted(order[20:])


def test_a_set_s_own_validation_set_comes_before_a_random_one():
    own = dataclasses.replace(digits(10), held_out=np.array([2, 5]))
    training, held = held_out(own, 0.5, 0)
    assert (held.tolist(), training.tolist()) == ([2, 5], [0, 1, 3, 4, 6, 7, 8, 9])
