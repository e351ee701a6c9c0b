"""The state of a stage of a run, restored, and refused where it does not fit."""

import dataclasses

import pytest
import torch
from test_run import prepared, same, weights

from aectl.errors import ModelFileError
from aectl.training.run import Epoch
from aectl.training.stages import restoring


@pytest.mark.parametrize(
    "error", [RuntimeError, ValueError, KeyError, IndexError, TypeError], ids=lambda e: e.__name__
)
def test_errors_of_torch_become_a_line_that_names_the_checkpoint(error):
    with (
        pytest.raises(
            ModelFileError, match=r"does not fit its own options: .*first$|'first"
        ) as found,
        restoring(),
    ):
        raise error("first\nsecond")
    assert "\n" not in str(found.value).replace("\\n", "")


def test_other_errors_pass():
    with pytest.raises(OSError, match="full"), restoring():
        raise OSError("full")


def sparse(**options):
    return prepared(sparsity="topk", k=2, revive=0.5, batch_size=60, epochs=3, **options)


@pytest.fixture
def state():
    """The state of a run after its first epoch, with a count for each of its 16 units."""
    run = sparse()
    next(event for event in run.epochs() if isinstance(event, Epoch))
    return run.state()


def test_the_weights_the_place_and_the_random_state_are_those_of_before(state):
    again = sparse(seed=5)
    again.restore(state)
    first = next(again.epochs())
    assert same(weights(again.network), state.weights)
    assert (first.epoch, first.step) == (state.loop.epochs + 1, state.loop.step)
    assert torch.equal(torch.get_rng_state(), state.random)


@pytest.mark.parametrize(
    "changes",
    [
        lambda state: {"remembered": {"inactive": torch.zeros(17)}},
        lambda state: {"optimizer": []},
        lambda state: {"random": state.random[:-1]},
        lambda state: {"order": state.order[:-1]},
        lambda state: {"weights": {**state.weights, "more": torch.zeros(1)}},
        lambda state: {"loop": dataclasses.replace(state.loop, sums={"loss": torch.zeros(2)})},
    ],
    ids=["counts", "optimizer", "random", "order", "weights", "sums"],
)
def test_a_state_of_another_form_is_refused(state, changes):
    again = sparse()
    with pytest.raises(ModelFileError, match="not fit its"):
        again.restore(dataclasses.replace(state, **changes(state)))
        next(again.epochs())
