"""Losses and penalties: pure functions of tensors, each with the source of its formula.

A reconstruction loss is summed over the pixels of an image, or the tokens of a text, and averaged
over the batch, as in the papers that the penalties are from: the weight of a penalty then has the
same meaning for images of any size.
"""

import math
from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
from torch import Tensor

EDGE = 1e-7
"""Distance to 0 or 1 below which the penalty of a mean activation no longer grows."""

SMALL = 1e-3
"""Activation below which the slope of `power_sparsity` no longer grows."""

CHARBONNIER = 1e-3
"""Errors much smaller than this count as squares in `charbonnier`, larger ones as they are."""

WINDOW, WINDOW_DEVIATION = 11, 1.5
"""Pixels of a side of the window of SSIM, and the standard deviation of its Gaussian."""


def squared_error(reconstruction: Tensor, target: Tensor) -> Tensor:
    """Half the squared error: 1/2 ||x_hat - x||^2 (CS294A notes, section 2, J(W, b; x, y)).

    Both (batch, ...); a scalar, the mean over the batch.
    """
    return F.mse_loss(reconstruction, target, reduction="sum") * (0.5 / len(target))


def absolute_error(reconstruction: Tensor, target: Tensor) -> Tensor:
    """sum |x_hat - x|. Both (batch, ...); a scalar, the mean over the batch."""
    return F.l1_loss(reconstruction, target, reduction="sum") / len(target)


def charbonnier(reconstruction: Tensor, target: Tensor) -> Tensor:
    """sum sqrt((x_hat - x)^2 + eps^2), eps = 0.001 (Lai et al. 2017, LapSRN, section 3.3).

    Both (batch, ...); a scalar, the mean over the batch.
    """
    return ((reconstruction - target).square() + CHARBONNIER**2).sqrt().sum() / len(target)


def binary_cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """-sum x log x_hat + (1 - x) log(1 - x_hat), x_hat = sigmoid(logits).

    The cross-entropy of Vincent et al. 2010, section 2.2. Both (batch, ...), target in [0, 1]; a
    scalar, the mean over the batch.
    """
    return F.binary_cross_entropy_with_logits(logits, target, reduction="sum") / len(target)


def softmax_kl(reconstruction: Tensor, target: Tensor) -> Tensor:
    """KL(softmax(x) || softmax(x_hat)) over the pixels of each image.

    Both (batch, ...); a scalar, the mean over the batch. A constant added to every pixel of the
    reconstruction changes nothing, so that its brightness is not learnt.
    """
    return F.kl_div(
        reconstruction.flatten(1).log_softmax(1),
        target.flatten(1).log_softmax(1),
        reduction="batchmean",
        log_target=True,
    )


def kl_sparsity(code: Tensor, rho: float) -> Tensor:
    """sum_j KL(rho || rho_hat_j), rho_hat_j the mean of unit j over the batch (CS294A, section 3).

    code: (batch, code_size), in [0, 1]; a scalar.
    """
    rho_hat = code.mean(0).clamp(EDGE, 1 - EDGE)
    on = rho * (math.log(rho) - rho_hat.log())
    off = (1 - rho) * (math.log1p(-rho) - torch.log1p(-rho_hat))
    return (on + off).sum()


def kl_sparsity_slope(rho_hat: Tensor, rho: float) -> Tensor:
    """The derivative of `kl_sparsity` by each rho_hat_j (CS294A, section 3); both (code_size,)."""
    held = rho_hat.clamp(EDGE, 1 - EDGE)
    slope = (1 - rho) / (1 - held) - rho / held
    return slope.where(held == rho_hat, 0.0)


def l1_sparsity(code: Tensor) -> Tensor:
    """sum_j |code_j|, mean over the batch (Olshausen & Field 1996, S(x) = |x|).

    code: (batch, code_size); a scalar.
    """
    return code.abs().sum() / len(code)


def power_sparsity(code: Tensor, power: float | Tensor) -> Tensor:
    """sum_j |code_j|^p, mean over the batch (Karvonen et al. 2024, Measuring progress in dictionary
    learning, p-annealing), with a finite slope at 0: values below `SMALL` count as on a line.

    code: (batch, code_size); a scalar.
    """
    size = code.abs()
    return (size * size.clamp(min=SMALL) ** (power - 1)).sum() / len(code)


def contraction(slopes: Tensor, weight: Tensor) -> Tensor:
    """||d code / d x||_F^2 of one layer, mean over the batch (Rifai et al. 2011, equation 8).

    It is sum_j slope_j^2 ||W_j||^2, for any activation. slopes: (batch, code_size), the derivative
    of each unit by its preactivation; weight: (code_size, inputs); a scalar.
    """
    return (slopes.square() @ weight.square().sum(1)).mean()


def squared_weights(weights: Iterable[Tensor]) -> Tensor:
    """1/2 sum W^2 over all weights (CS294A notes, section 2, the second term of J(W, b))."""
    return torch.stack([0.5 * weight.square().sum() for weight in weights]).sum()


def squared_hinge(scores: Tensor, labels: Tensor) -> Tensor:
    """sum_k max(0, 1 - t_k s_k)^2, t_k = 1 for the class and -1 for the others (Tang 2013, Deep
    learning using linear support vector machines, equation 5).

    scores: (batch, classes), labels: (batch,); a scalar, the mean over the batch.
    """
    signs = 2 * F.one_hot(labels, scores.shape[1]).to(scores.dtype) - 1
    return (1 - signs * scores).clamp(min=0).square().sum() / len(scores)


def dissimilarity(reconstruction: Tensor, target: Tensor) -> Tensor:
    """(1 - SSIM) times the number of values of an image (Wang et al. 2004, equation 13).

    SSIM is the mean over channels and over all places at which a Gaussian window of 11x11 pixels
    lies within the image. Both (batch, channels, height, width), in [0, 1]; a scalar, the mean over
    the batch. Needs the extra `ssim`.
    """
    from pytorch_msssim import ssim

    window = _gaussian_window(target)  # its own would be copied to a GPU, which waits for that
    similarity: Tensor = ssim(reconstruction, target, data_range=1.0, win=window)
    return (1 - similarity) * target[0].numel()


def _gaussian_window(images: Tensor) -> Tensor:
    """A row of the window of `dissimilarity`, for each channel: (channels, 1, 1, 11)."""
    places = torch.arange(-(WINDOW // 2), WINDOW // 2 + 1, device=images.device)
    heights = torch.exp(-places.to(images.dtype).square() / (2 * WINDOW_DEVIATION**2))
    return (heights / heights.sum()).expand(images.shape[1], 1, 1, -1)


def of_choices(costs: Tensor, log_probabilities: Tensor) -> Tensor:
    """A scalar whose gradient estimates that of the mean cost of random choices.

    Each text has several choices, independently drawn: costs and log_probabilities, (choices,
    texts). The gradient is that of log p times how much a choice costs more than the others of its
    text do on average (Williams 1992, equation 4; Kool et al. 2019, equation 8, baseline).
    """
    count = len(costs)
    excess = (costs - costs.mean(0)).detach() * count / (count - 1)
    return (excess * log_probabilities).mean()


RECONSTRUCTION: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mse": squared_error,
    "l1": absolute_error,
    "charbonnier": charbonnier,
    "bce": binary_cross_entropy,
    "softmax-kl": softmax_kl,
    "ssim": dissimilarity,
}

OF_LOGITS = frozenset({"bce"})
"""The reconstruction losses that take the decoder's output before its activation."""
