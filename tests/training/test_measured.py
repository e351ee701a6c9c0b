"""The errors of a trained network."""

import pytest
import torch

from aectl.objectives.step import Batch
from aectl.training.measured import Errors, mean_error


@pytest.mark.parametrize(("held_out", "memorised"), [(0.019, False), (0.021, True)])
def test_a_network_has_memorised_where_its_held_out_error_is_more_than_twice_the_other(
    held_out, memorised
):
    errors = Errors(trained=0.01, held_out=held_out)
    assert errors.memorised == memorised
    said = "memorised its training tiles" if memorised else "not memorised them"
    assert errors.described("tiles").endswith(f"the model has {said}")


class Same(torch.nn.Module):
    """The logits are the inputs."""

    classes_count = 3

    def forward(self, inputs):
        return inputs


def test_the_error_is_the_percentage_of_wrong_labels_in_all_batches():
    logits, right = torch.eye(3)[torch.tensor([0, 1, 2, 0, 1])], torch.tensor([0, 1, 0, 0, 2])
    batches = [Batch(logits[:4], right[:4]), Batch(logits[4:], right[4:])]
    assert mean_error(Same(), batches) == {"error": pytest.approx(40.0)}
