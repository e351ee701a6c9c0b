"""Codes from the encoder's pre-activations: an activation, and a rule by which units compete.

Each rule takes `preactivation`, (batch, code_size), and returns the code in the same shape. If
training and inference differ, the module's mode, `train()` or `eval()`, decides; at inference, the
code of an image never depends on other images of the batch.
"""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aectl.models.activations import ACTIVATIONS, ACTIVE_ABOVE
from aectl.models.whole_batch import largest, whole

THRESHOLD_PACE, MAPS_PACE = 0.01, 0.1
"""The weight of a batch in the running mean of a threshold: of all units, and of each map alone,
which follows activations that grow in short trainings."""

FIRST_THRESHOLD = 0.1


class Code(nn.Module):
    """code = activation(preactivation), element by element."""

    power: float | Tensor = 1.0
    """The power p of the penalty sum_j |code_j|^p; a scalar in memory where a schedule lowers it in
    training."""

    def __init__(self, activation: str = "relu") -> None:
        super().__init__()
        self.activation = ACTIVATIONS[activation]
        self.active_above = ACTIVE_ABOVE.get(activation)

    def forward(self, preactivation: Tensor) -> Tensor:
        """preactivation -> code, both (batch, code_size)."""
        return self.activation(preactivation)

    def threshold_for(self, preactivation: Tensor) -> Tensor:
        """The threshold above which a pre-activation makes its unit active in training.

        It broadcasts to (batch, code_size).
        """
        return torch.zeros_like(preactivation[:1, :1])


class TopK(Code):
    """Keeps the k largest units of an image; others are 0 (Makhzani & Frey 2013, section 2.1).

    At inference, the alpha * k largest are kept (their section 2.2). In training, `kept` are, which
    a schedule may lower to k step by step (section 4.2.1).
    """

    def __init__(self, activation: str, k: int, alpha: float = 1.0) -> None:
        super().__init__(activation)
        self.kept = k
        self.k_at_inference = round(alpha * k)

    def forward(self, preactivation: Tensor) -> Tensor:
        """preactivation -> code, both (batch, code_size)."""
        code = self.activation(preactivation)
        return largest(code, self.kept if self.training else self.k_at_inference, 1)

    @torch.no_grad()
    def places(self, preactivation: Tensor) -> Tensor:
        """The places, in the flattened code, of the units that are kept in training, in ascending
        order of the images: (batch, code_size) -> (batch * k,)."""
        code = self.activation(preactivation)
        units = code.topk(min(self.kept, code.shape[1]), 1, sorted=False).indices
        first = torch.arange(0, code.numel(), code.shape[1], device=code.device)
        return (first[:, None] + units).flatten()

    def threshold_for(self, preactivation: Tensor) -> Tensor:
        """The smallest pre-activation of each image that is kept: (batch, 1)."""
        return preactivation.topk(self.kept, 1).values[:, -1:].relu()


class BatchTopK(Code):
    """Keeps the k * batch largest values of a batch (Bussmann et al. 2024, section 3).

    At inference, units above `threshold` are kept, so that a code does not depend on other images:
    the running mean of the smallest value that was kept in training (their equation 7), until it is
    settled.
    """

    threshold: Tensor

    def __init__(self, activation: str, k: int) -> None:
        super().__init__(activation)
        self.kept = k
        self.register_buffer("threshold", torch.zeros(()))

    def forward(self, preactivation: Tensor) -> Tensor:
        """preactivation -> code, both (batch, code_size)."""
        code = self.activation(preactivation)
        if not self.training:
            return code * (code > self.threshold)
        sparse = whole().largest(code.flatten(), self._count(code)).view_as(code)
        self._follow(sparse.detach())
        return sparse

    @torch.no_grad()
    def places(self, preactivation: Tensor) -> Tensor:
        """The places, in the flattened code, of the values that are kept in training, in ascending
        order: (batch, code_size) -> (k * batch,). The running mean follows them."""
        code = self.activation(preactivation).flatten()
        found = code.topk(min(self._count(preactivation), len(code)), sorted=False)
        self._follow(found.values)
        return found.indices.sort().values

    def threshold_for(self, preactivation: Tensor) -> Tensor:
        """The smallest pre-activation of the batch that is kept: (1, 1)."""
        flat, count = preactivation.flatten(), self._count(preactivation)
        return whole().nth_largest(flat, count).view(1, 1).relu()

    def _count(self, preactivation: Tensor) -> int:
        """The number of values of the whole batch that are kept."""
        return self.kept * whole().rows(len(preactivation))

    @torch.no_grad()
    def settle(self, preactivations: Iterable[Tensor], inputs: int) -> None:
        """Sets the threshold with which k units of these `inputs` are active, on average:
        (batch, code_size) each. The running mean is late by 100 steps, in which it changes.
        """
        wanted = self.kept * inputs + 1
        largest, threshold = [self.threshold.new_empty(0)], self.threshold.new_zeros(())
        for preactivation in preactivations:
            code = self.activation(preactivation).flatten()
            largest.append(code[code > threshold])
            if sum(map(len, largest)) > 2 * wanted:
                largest = [torch.cat(largest).topk(wanted, sorted=False).values]
                threshold = largest[0].min()
        found = torch.cat(largest)
        enough = len(found) >= wanted
        self.threshold.copy_(found.topk(wanted).values[-1] if enough else torch.zeros(()))

    def _follow(self, sparse: Tensor) -> None:
        least = whole().least(sparse.masked_fill(sparse <= 0, torch.inf).flatten())
        settled = _followed(self.threshold, least, THRESHOLD_PACE)
        self.threshold.copy_(settled.where(settled.isfinite(), self.threshold))


class JumpReLU(Code):
    """code_j = p_j where p_j > theta_j, else 0 (Rajamanoharan et al. 2024, JumpReLU SAEs, eq. 3).

    The thresholds theta_j > 0 are learnt. The gradient of the jump is approximated by a rectangular
    kernel of width `bandwidth` around the threshold (their equations 11 and 12).
    """

    def __init__(self, units: int, bandwidth: float) -> None:
        super().__init__("relu")
        self.log_threshold = nn.Parameter(torch.full((units,), FIRST_THRESHOLD).log())
        self.bandwidth = bandwidth

    def forward(self, preactivation: Tensor) -> Tensor:
        """preactivation -> code, both (batch, code_size)."""
        threshold = self.log_threshold.exp()
        slope = self._slope(preactivation, threshold)
        return preactivation * (preactivation > threshold) + threshold.detach() * slope

    def threshold_for(self, preactivation: Tensor) -> Tensor:
        """The thresholds: (1, code_size)."""
        return self.log_threshold.detach().exp()[None]

    def active(self, preactivation: Tensor) -> Tensor:
        """1 where a unit is active, else 0, with a gradient only for the thresholds."""
        threshold = self.log_threshold.exp()
        return (preactivation > threshold) + self._slope(preactivation, threshold)

    def _slope(self, preactivation: Tensor, threshold: Tensor) -> Tensor:
        """Zeros, with the gradient -1 / bandwidth by theta within the rectangle."""
        ramp = ((preactivation.detach() - threshold) / self.bandwidth + 0.5).clamp(0, 1)
        return ramp - ramp.detach()


class Gated(Code):
    """code_j = relu(exp(r_j) p_j + b_j) where p_j > 0, else 0 (Rajamanoharan et al. 2024, Gated
    SAEs, equations 6 and 7).

    The pre-activation decides which units are active; their values are scaled and shifted by the
    parameters `r` and `b` of each unit, which no penalty shrinks.
    """

    def __init__(self, units: int) -> None:
        super().__init__("relu")
        self.r = nn.Parameter(torch.zeros(units))
        self.b = nn.Parameter(torch.zeros(units))

    def forward(self, preactivation: Tensor) -> Tensor:
        """preactivation -> code, both (batch, code_size)."""
        return (preactivation > 0) * self.activation(self.r.exp() * preactivation + self.b)


class WinnerTakeAll(Code):
    """Keeps the largest values of each unit over a batch, a fraction `rate`; others are 0 (lifetime
    sparsity: Makhzani & Frey 2015, section 2). At inference, only the activation is applied.
    """

    def __init__(self, activation: str, rate: float) -> None:
        super().__init__(activation)
        self.rate = rate

    def forward(self, preactivation: Tensor) -> Tensor:
        """preactivation -> code, both (batch, code_size)."""
        code = self.activation(preactivation)
        if not self.training:
            return code
        return whole().largest(code, max(1, round(self.rate * whole().rows(len(code)))))


class MapWinners(Code):
    """Keeps the largest activation of each map of an image, the first of several (spatial
    sparsity), and of those the largest of each map over a batch, a fraction `rate` (lifetime
    sparsity); others are 0 (Makhzani & Frey 2015, section 3).

    At inference, the largest activation of a map is kept if it is no less than the `threshold` of
    the map: the running mean of the smallest that was kept in training. So a code is as sparse as
    in training, and does not depend on other images.
    """

    threshold: Tensor

    def __init__(self, maps: int, rate: float) -> None:
        super().__init__("relu")
        self.rate = rate
        self.register_buffer("threshold", torch.zeros(maps))

    def forward(self, preactivation: Tensor) -> Tensor:
        """preactivation -> code, both (batch, maps, height, width)."""
        places = self.activation(preactivation).flatten(2)
        found = places.argmax(2, keepdim=True)
        winners = places.gather(2, found)[:, :, 0]
        kept = self._of_batch(winners) if self.training else winners * (winners >= self.threshold)
        return torch.zeros_like(places).scatter(2, found, kept[:, :, None]).view_as(preactivation)

    def _of_batch(self, winners: Tensor) -> Tensor:
        """The largest winners of each map, of equal ones those of the first images; others are 0.

        winners: (batch, maps).
        """
        every = whole().gathered(winners.detach())
        count = max(1, round(self.rate * len(every)))
        ordered, images = every.sort(dim=0, descending=True, stable=True)
        self.threshold.copy_(_followed(self.threshold, ordered[count - 1], MAPS_PACE))
        kept = torch.zeros_like(every).scatter(0, images[:count], 1.0)
        return winners * whole().mine(kept)


class MatchingPursuit(Code):
    """Keeps the unit with the largest magnitude, with its sign; others are 0.

    With a decoder that has the encoder's weights and columns of length 1, this is orthogonal
    matching pursuit with one step, OMP-1, or spherical k-means (Coates & Ng 2011, section 3.1).
    """

    def __init__(self) -> None:
        super().__init__("linear")

    def forward(self, preactivation: Tensor) -> Tensor:
        """preactivation -> code, both (batch, code_size)."""
        best = preactivation.abs().argmax(1, keepdim=True)
        return torch.zeros_like(preactivation).scatter(1, best, preactivation.gather(1, best))


def prefix(code: Tensor, width: int) -> Tensor:
    """The code of the first `width` units alone; those of others are 0. Both (batch, code_size)."""
    return F.pad(code[:, :width], (0, code.shape[1] - width))


def _followed(threshold: Tensor, least: Tensor, pace: float) -> Tensor:
    """The running mean of a threshold, which begins with the first value that is kept."""
    return torch.where(threshold > 0, threshold.lerp(least, pace), least)
