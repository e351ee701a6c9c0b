"""Whitening, against the covariance of what comes out, computed by numpy."""

import numpy as np
import pytest
import torch

from aectl.models.whitening import Whitening


@pytest.mark.parametrize("epsilon", [1e-4, 0.1, 3.0])
def test_whitening_scales_each_component_by_its_deviation(epsilon):
    generator = torch.Generator().manual_seed(0)
    patches = torch.randn(4000, 12, generator=generator) @ torch.randn(12, 12, generator=generator)
    patches = (0.5 + 0.02 * patches).clamp(0, 1)
    whitening = Whitening(12)
    whitening.fit(patches, epsilon)
    values = whitening(patches).values.double()
    assert values.mean(0).abs().max() < 1e-4
    p = patches.double().numpy()
    x = (p - p.mean(1, keepdims=True)) / np.sqrt(p.var(1, keepdims=True) + 10 / 255**2)
    of_x, of_values = np.cov(x.T), np.cov(values.numpy().T)
    variances, components = np.linalg.eigh(of_x)
    wanted = components @ np.diag(variances / (variances + epsilon)) @ components.T
    assert np.abs(of_values - wanted).max() < 1e-3


def test_patches_come_back_from_their_whitened_values():
    patches = torch.rand(60, 20, generator=torch.Generator().manual_seed(0))
    whitening = Whitening(20)
    whitening.fit(patches, 0.01)
    assert (whitening.undone(whitening(patches)) - patches).abs().max() < 1e-5
