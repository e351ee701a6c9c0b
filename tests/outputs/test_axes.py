"""The axes of charts."""

import pytest

from aectl.outputs.axes import Axis

RANGES = {
    "0 to 1": ([0.0, 1.0], "0.0 0.2 0.4 0.6 0.8 1.0"),
    "percent": ([16.7, 50.0], "20 30 40 50"),
    "below 0": ([-0.00021, -0.00037], "-0.00035 -0.00030 -0.00025"),
    "quarters": ([0.2, 0.8, 1.2], "0.2 0.4 0.6 0.8 1.0 1.2"),
    "of two and a half": ([0.88, 1.0], "0.875 0.900 0.925 0.950 0.975 1.000"),
    "close": ([123456.1, 123456.2], "123456.10 123456.12 123456.14 123456.16 123456.18 123456.20"),
    "large": ([2e6, 8e6], "2e6 4e6 6e6 8e6"),
    "tiny": ([1.25e-12, 1.5e-12], "1.25e-12 1.30e-12 1.35e-12 1.40e-12 1.45e-12 1.50e-12"),
    "around 0 and tiny": ([-1e-9, 1e-9], "-1.0e-9 -0.5e-9 0 0.5e-9 1.0e-9"),
    "the same": ([0.05, 0.05], "0.048 0.049 0.050 0.051 0.052"),
    "only 0": ([0.0], "-0.04 -0.02 0.00 0.02 0.04"),
    "none": ([], "0.0 0.2 0.4 0.6 0.8 1.0"),
    "a decade": ([1.0, 11.0], "1 2 5 10"),
    "two decades": ([0.004, 0.5], "0.005 0.01 0.02 0.05 0.1 0.2 0.5"),
    "many decades": ([3e-7, 2e7], "1e-6 0.001 1 1000 1e6"),
    "far below 1": ([2e-9, 3e-8], "2e-9 5e-9 1e-8 2e-8"),
}


@pytest.mark.parametrize(("values", "labels"), RANGES.values(), ids=RANGES)
def test_ticks_are_round_numbers_within_the_range(values, labels):
    axis = Axis.of(values)
    assert axis.labels == labels.split()
    for tick, label in zip(axis.ticks, axis.labels, strict=True):
        assert float(label) == pytest.approx(tick, rel=1e-9, abs=1e-300)
        assert 0 <= axis.place(tick) <= 1
    assert all(0 < axis.place(value) < 1 for value in values)


EPOCHS = {
    1: "1", 2: "1 2", 3: "1 2 3", 8: "1 2 3 4 5 6 7 8", 30: "0 5 10 15 20 25 30",
    100: "0 20 40 60 80 100", 1500: "0 500 1000 1500",
}  # fmt: skip


@pytest.mark.parametrize(("last", "labels"), EPOCHS.items())
def test_epochs_are_whole_numbers(last, labels):
    assert Axis.whole(range(1, last + 1)).labels == labels.split()


def test_a_logarithmic_axis_gives_each_factor_the_same_length():
    axis = Axis.of([0.01, 0.1, 1.0])
    assert axis.place(1.0) - axis.place(0.1) == pytest.approx(axis.place(0.1) - axis.place(0.01))
