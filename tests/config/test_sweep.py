"""Several values of options: which can have them, the runs that they give, and their names."""

import pytest

from aectl.config.all_options import OPTIONS
from aectl.config.sweep import combinations, run_name, takes_several
from aectl.errors import ConfigError


def test_options_of_one_number_that_leave_the_data_alone_take_several():
    taking = {name for name, field in OPTIONS.items() if takes_several(field)}
    assert {"k", "lr", "beta", "bottleneck_factor", "epochs", "batch_size", "aux_k"} <= taking
    others = {"hidden", "prefixes", "tied", "sparsity", "scale", "validation", "shuffle_buffer"}
    assert not taking & others


def test_every_combination_of_values_is_a_run_with_a_name_of_its_own():
    runs = combinations({"k": (2, 4), "lr": (0.1, 1e-05)})
    assert runs == [{"k": k, "lr": lr} for k in (2, 4) for lr in (0.1, 1e-05)]
    assert [run_name(values) for values in runs] == [
        "k-2-lr-0.1", "k-2-lr-1e-05", "k-4-lr-0.1", "k-4-lr-1e-05",
    ]  # fmt: skip
    assert run_name({"k_start": 8, "seed": 0}) == "k-start-8-seed-0"
    assert [run_name(values) for values in combinations({})] == [""]


def test_a_value_that_is_given_twice_is_refused():
    with pytest.raises(ConfigError, match="--aux-k names a value twice: 3,1,3"):
        combinations({"aux_k": (3, 1, 3)})
