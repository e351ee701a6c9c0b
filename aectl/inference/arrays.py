"""Uses of a trained network on arrays of images or codes, on the CPU."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from aectl.data.images.pixels import Pixels
from aectl.inference.apply import AnyNetwork, decoded, refuse_overflow, to_tensor, traced
from aectl.inference.metrics import is_active
from aectl.inference.results import Floats
from aectl.models.autoencoder import AutoencoderBase
from aectl.models.scaling import unscaled

BLOCK = 250
"""Number of images that are processed at a time."""


@torch.inference_mode()
def reconstruct_images(network: AutoencoderBase, images: Pixels) -> Floats:
    """Reconstructs uint8 images, (n, channels, height, width), in [0, 1], on the CPU."""
    cpu = torch.device("cpu")
    network.to(cpu).eval()
    inputs = (to_tensor(block, cpu) for block in blocks(images, network))
    made = torch.cat([traced(network, network.targets(block))[1] for block in inputs])
    refuse_overflow(made)
    return made.numpy()


@torch.inference_mode()
def decode_codes(network: AutoencoderBase, codes: Floats) -> Floats:
    """codes (n, code_size) -> images (n, channels, height, width), on the CPU; or vectors, in
    their own units.

    Inputs of very large codes may contain values that are not finite.
    """
    network.cpu().eval()
    made = torch.cat([decoded(network, torch.from_numpy(one)) for one in blocks(codes, network)])
    return unscaled(network.scaling, made, None).numpy()


@torch.inference_mode()
def codes_of(network: AutoencoderBase, images: Pixels) -> Floats:
    """uint8 images (n, channels, height, width) -> codes (n, code_size), on the CPU."""
    cpu = torch.device("cpu")
    network.to(cpu).eval()
    return torch.cat(
        [network.encode(to_tensor(block, cpu)) for block in blocks(images, network)]
    ).numpy()


def interpolate(network: AutoencoderBase, ends: Pixels, steps: int) -> Floats:
    """Decodes the codes on the straight line between the codes of two images.

    ends: (2, channels, height, width), 0 to 255 -> (steps, channels, height, width). Raises
    ModelFileError if the result is not finite.
    """
    first, last = codes_of(network, ends)
    way = np.linspace(0, 1, steps, dtype=np.float32)[:, None]
    made = decode_codes(network, (1 - way) * first + way * last)
    refuse_overflow(made)
    return made


def traverse(network: AutoencoderBase, images: Pixels, unit: int, values: Floats) -> Floats:
    """Decodes the codes of images with one unit set to each of the values.

    images: (n, channels, height, width), values: (steps,) -> (n * steps, channels, height, width),
    those of the first image first. Raises ModelFileError if the result is not finite.
    """
    codes = codes_of(network, images).repeat(len(values), axis=0)
    codes[:, unit] = np.tile(values, len(images))
    made = decode_codes(network, codes)
    refuse_overflow(made)
    return made


@torch.inference_mode()
def dead_units(network: AutoencoderBase, images: Pixels) -> NDArray[np.bool_]:
    """Whether each unit of the code is inactive for all images: (units,); on the CPU."""
    cpu = torch.device("cpu")
    network.to(cpu).eval()
    inactive = []
    for block in blocks(images, network):
        values = network.unit_values(to_tensor(block, cpu))
        inactive.append(~is_active(values, network.active_above).any(0))
    return torch.stack(inactive).all(0).numpy()


def blocks(images: NDArray[Any], network: AnyNetwork) -> Iterator[NDArray[Any]]:
    """Splits images or codes into blocks for which the network needs little memory."""
    size = 1 if network.one_at_a_time else BLOCK
    for first in range(0, len(images), size):
        yield images[first : first + size]
