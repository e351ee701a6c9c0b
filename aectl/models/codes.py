"""What makes a code of the encoder's answers: an activation, and the rule by which units compete.

Every rule takes `preactivation`, (batch, code_size), and returns the code in the same shape. Where
training and use differ, it is the module's mode, `train()` or `eval()`, that decides; in use the
code of an image never depends on the images beside it.
"""

import torch
from torch import Tensor, nn

from aectl.models.activations import ACTIVATIONS, ACTIVE_ABOVE

THRESHOLD_PACE = 0.01
FIRST_THRESHOLD = 0.1


class Code(nn.Module):
    """code = activation(preactivation): each unit for itself."""

    def __init__(self, activation: str = "relu") -> None:
        super().__init__()
        self.activation = ACTIVATIONS[activation]
        self.active_above = ACTIVE_ABOVE.get(activation)

    def forward(self, preactivation: Tensor) -> Tensor:
        """preactivation -> code, both (batch, code_size)."""
        return self.activation(preactivation)

    def bar(self, preactivation: Tensor) -> Tensor:
        """What a preactivation has to exceed for its unit to be active in training.

        It broadcasts to (batch, code_size).
        """
        return torch.zeros_like(preactivation[:1, :1])


class TopK(Code):
    """The k largest units of an image stay; the others are 0 (Makhzani & Frey 2013, section 2.1).

    In use the alpha * k largest stay: the wider support at encoding of their section 2.2. In
    training `kept` stay, which a schedule may lower to k step by step (section 4.2.1).
    """

    def __init__(self, activation: str, k: int, alpha: float = 1.0) -> None:
        super().__init__(activation)
        self.kept = k
        self.kept_in_use = round(alpha * k)

    def forward(self, preactivation: Tensor) -> Tensor:
        """preactivation -> code, both (batch, code_size)."""
        code = self.activation(preactivation)
        return _largest(code, self.kept if self.training else self.kept_in_use, 1)

    def bar(self, preactivation: Tensor) -> Tensor:
        """The least preactivation that is kept, of each image: (batch, 1)."""
        return preactivation.topk(self.kept, 1).values[:, -1:].relu()


class BatchTopK(Code):
    """The k * batch largest values of a whole batch stay (Bussmann et al. 2024, section 3).

    In use, units above `threshold` stay: the running mean of the smallest value that was kept in
    training (their equation 7), so that an image's code is its own.
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
        sparse = _largest(code.flatten(), self.kept * len(code), 0).view_as(code)
        self._follow(sparse.detach())
        return sparse

    def bar(self, preactivation: Tensor) -> Tensor:
        """The least preactivation that is kept of the whole batch: (1, 1)."""
        return preactivation.flatten().topk(self.kept * len(preactivation)).values[-1:, None].relu()

    def _follow(self, sparse: Tensor) -> None:
        least = sparse.masked_fill(sparse <= 0, torch.inf).min()
        usual = self.threshold.lerp(least, THRESHOLD_PACE)
        settled = torch.where(self.threshold > 0, usual, least)
        self.threshold.copy_(settled.where(settled.isfinite(), self.threshold))


class JumpReLU(Code):
    """code_j = p_j where p_j > theta_j, else 0 (Rajamanoharan et al. 2024, JumpReLU SAEs, eq. 3).

    Each threshold theta_j > 0 is learnt. The jump has no gradient; a rectangle `bandwidth` wide
    around the threshold stands in for it (their equations 11 and 12).
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

    def bar(self, preactivation: Tensor) -> Tensor:
        """The thresholds: (1, code_size)."""
        return self.log_threshold.detach().exp()[None]

    def active(self, preactivation: Tensor) -> Tensor:
        """1 where a unit is active, else 0; the gradient reaches the thresholds alone."""
        threshold = self.log_threshold.exp()
        return (preactivation > threshold) + self._slope(preactivation, threshold)

    def _slope(self, preactivation: Tensor, threshold: Tensor) -> Tensor:
        """0 everywhere, and by theta it has the gradient -1 / bandwidth within the rectangle."""
        ramp = ((preactivation.detach() - threshold) / self.bandwidth + 0.5).clamp(0, 1)
        return ramp - ramp.detach()


class Gated(Code):
    """code_j = relu(exp(r_j) p_j + b_j) where p_j > 0, else 0 (Rajamanoharan et al. 2024, Gated
    SAEs, equations 6 and 7).

    The preactivation decides which units are active; how active they are is scaled and shifted by
    a unit's own `r` and `b`, which no penalty shrinks.
    """

    def __init__(self, units: int) -> None:
        super().__init__("relu")
        self.r = nn.Parameter(torch.zeros(units))
        self.b = nn.Parameter(torch.zeros(units))

    def forward(self, preactivation: Tensor) -> Tensor:
        """preactivation -> code, both (batch, code_size)."""
        return (preactivation > 0) * self.activation(self.r.exp() * preactivation + self.b)


class WinnerTakeAll(Code):
    """Each unit stays active for the part `rate` of a batch that excites it most, and is 0 for the
    others (lifetime sparsity: Makhzani & Frey 2015, section 2). In use, the activation alone.
    """

    def __init__(self, activation: str, rate: float) -> None:
        super().__init__(activation)
        self.rate = rate

    def forward(self, preactivation: Tensor) -> Tensor:
        """preactivation -> code, both (batch, code_size)."""
        code = self.activation(preactivation)
        return _largest(code, max(1, round(self.rate * len(code))), 0) if self.training else code


def _largest(code: Tensor, count: int, dim: int) -> Tensor:
    """The `count` largest values along a dimension; 0 in the place of all others."""
    if count >= code.shape[dim]:
        return code
    found = code.topk(count, dim, sorted=False)
    return torch.zeros_like(code).scatter(dim, found.indices, found.values)
