"""How the units of a code of text are kept equally likely to be active."""

import numpy as np
import pytest
import torch

from aectl.objectives.text_objectives import DEVIATION, MEAN, Standardisation


def test_standardised_units_have_the_values_of_inference_and_the_gradient_of_batch_normalisation():
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randn(40, 3, generator=generator, dtype=torch.float64)
    before = (
        drawn * torch.tensor([0.5, 1.0, 2.0]) + torch.tensor([0.0, -0.6, 0.5])
    ).requires_grad_()
    slopes = torch.randn(40, 3, generator=generator, dtype=torch.float64)
    remembered = {}
    after = Standardisation(remembered)(before)
    torch.testing.assert_close(after, before, atol=1e-3, rtol=0)
    (found,) = torch.autograd.grad(after, before, slopes)
    normal = torch.nn.functional.batch_norm(before, None, None, training=True, eps=1e-5)
    deviation = before.detach().numpy().std(0)
    (wanted,) = torch.autograd.grad(normal, before, slopes * torch.from_numpy(deviation))
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)
    np.testing.assert_allclose(remembered[MEAN], before.detach().numpy().mean(0))
    np.testing.assert_allclose(remembered[DEVIATION], deviation)


def test_units_that_have_gone_far_are_brought_back_in_training():
    far = torch.tensor([[90.0], [110.0], [100.0], [100.0]])
    after = Standardisation({})(far)
    assert after.mean().item() == pytest.approx(1)
    assert after.std(correction=0).item() == pytest.approx(3)


def test_a_single_text_is_not_standardised():
    one = torch.tensor([[3.0, -2.0]])
    assert Standardisation({})(one).equal(one)
