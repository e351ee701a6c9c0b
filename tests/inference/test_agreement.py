"""How far outputs are apart, by hand."""

import tracemalloc

import numpy as np
import pytest

from aectl.inference.agreement import agreement, rows_in_batches


def test_differences_are_the_largest_and_the_root_mean_square():
    wanted = np.array([[3.0, 0.0], [-4.0, 0.0]], np.float32)
    found = np.array([[3.0, 0.5], [-4.0, 0.0]], np.float32)
    made = agreement(found, wanted)
    assert made.difference == 0.5
    assert made.relative == 0.5 / 4
    assert made.relative_rms == pytest.approx(0.5 / 5)
    assert made.mismatches == 1


def test_equal_outputs_agree_whatever_is_in_them():
    same = np.array([np.nan, np.inf, -np.inf, 0, 1], np.float32)
    assert agreement(same, same.copy()) == (0, 0, 0, 0)


@pytest.mark.parametrize("other", [np.nan, np.inf])
def test_a_number_that_is_not_finite_in_one_output_alone_is_infinitely_far(other):
    made = agreement(np.array([1, other]), np.array([1.0, 2.0]))
    assert made.difference == made.relative == made.relative_rms == np.inf


def test_outputs_of_other_shapes_are_infinitely_far():
    assert agreement(np.zeros((2, 3)), np.zeros((2, 4))).difference == np.inf


def test_the_difference_from_zeros_is_not_relative():
    made = agreement(np.array([1e-7]), np.array([0.0]))
    assert made.difference == made.relative == made.relative_rms == 1e-7


def test_whole_numbers_do_not_wrap_around():
    assert agreement(np.array([0], np.uint8), np.array([255], np.uint8)).difference == 255


def test_the_comparison_of_many_numbers_takes_little_memory():
    wanted = np.ones((8, 2**19), np.float32)
    found = wanted.copy()
    found[-1, -1] = 2
    tracemalloc.start()
    made = agreement(found, wanted)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert made.difference == 1
    assert made.relative_rms == pytest.approx(wanted.size**-0.5)
    assert most < 4 * wanted.nbytes


def test_batches_begin_again_where_there_are_too_few_inputs():
    made = [rows.tolist() for rows in rows_in_batches(3, (1, 2, 5))]
    assert made == [[0], [1, 2], [0, 1, 2, 0, 1]]
