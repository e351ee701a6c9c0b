"""Options as they are parsed: how several values are given."""

import pytest


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--dataset", "p1", "p2"], "--dataset p1 --dataset p2"),
        (["--dataset=p1", "p2"], "--dataset p1 --dataset p2"),
        (["--epochs", "1", "--dataset", "p1", "p2", "p3"], "--dataset p1 --dataset p2"),
        (["--include", "a*", "b*", "--dataset", "p"], "--include a* --include b*"),
    ],
)
def test_values_behind_an_option_that_is_repeated_name_the_way(aectl, words, said):
    done = aectl("train", *words)
    option = said.split()[0]
    assert (done.status, done.out) == (2, "")
    assert done.err == f"aectl: {option} takes one value; to give several, repeat it: {said}\n"


@pytest.mark.parametrize("words", [["p1"], ["--epochs", "1", "2"], ["--quiet", "p1"]])
def test_other_values_that_no_option_takes_are_refused(aectl, words):
    done = aectl("train", *words)
    assert (done.status, done.out) == (2, "")
    assert done.err == f"aectl: Got unexpected extra argument(s) ({words[-1]})\n"
