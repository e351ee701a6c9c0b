"""The weights with which a run begins: those of another model, or a start that suits the code."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from aectl.config.configuration import Config
from aectl.config.kinds import VECTORS
from aectl.config.sparsity import KL, NONE, RULES
from aectl.errors import ModelFileError
from aectl.models.architecture import Architecture
from aectl.models.conv_autoencoder import ConvEncoder
from aectl.models.conv_wta_autoencoder import MapsAutoencoder
from aectl.models.dense_layers import Encoder
from aectl.models.map_autoencoder import MapAutoencoder, MapEncoder
from aectl.models.model_card import ModelCard
from aectl.models.networks import Classifier, ImageAutoencoder, Network, PooledAutoencoder
from aectl.models.text_autoencoder import ThroughVector, VectorEncoder
from aectl.models.vocabulary import Vocabulary
from aectl.training.geometric_median import geometric_median

PixelNetwork = ImageAutoencoder | Classifier
"""A network that is trained on inputs, and not on patches of them."""

CodeEncoder = Encoder | ConvEncoder | MapEncoder | VectorEncoder

EDGE = 0.01

MOST_PLACES, INSIDE = 1 << 21, 128
"""Pixels that principal components are computed from: of each image the middle, at most so many on
a side."""


@dataclass(frozen=True)
class Start:
    """Trained models that a run begins with: weights to start from, an encoder to stand on, a
    `prior` whose language model is taken.

    Of a model of text the `vocabulary` is kept.
    """

    weights: Network | None = None
    encoder: tuple[Network, ModelCard] | None = None
    vocabulary: Vocabulary | None = None
    prior: Network | None = None

    @property
    def below(self) -> Architecture | None:
        """The architecture of the encoder, if any."""
        return self.encoder[1].architecture if self.encoder else None


def begin(network: PixelNetwork, config: Config, start: Start, images: Tensor) -> None:
    """Puts the weights in place with which training begins; `images` are some of the training set.

    Raises ModelFileError where the weights to start from do not fit.
    """
    stand_on_encoder(network, start)
    if start.weights is not None:
        copy_weights(start.weights, network)
        return
    if isinstance(network, Classifier):
        return
    equal = RULES[config.model.sparsity].equal_start
    median = geometric_median(images) if equal and config.model.modality == VECTORS else None
    if network.encoder.center is not None:
        center = network.encoder.center
        center.copy_((_mean(images, center.numel()) if median is None else median).view_as(center))
    if isinstance(network, MapAutoencoder):
        linear = config.model.sparsity == NONE and config.model.code_activation == "linear"
        begin_at_components(network, images, linear)
    begin_code(network.encoder, config, images)
    if equal:
        begin_at_rows(network)
    if equal or network.encoder.center is not None:
        begin_bias(network, images, median)


@torch.no_grad()
def standardize(network: Classifier, config: Config, batches: Iterable[Tensor]) -> None:
    """Sets what a classifier's inputs are standardized with, where that is asked for."""
    if config.model.standardize:
        network.fit_standard(torch.cat([network.raw_features(inputs) for inputs in batches]))


def stand_on_encoder(network: nn.Module, start: Start) -> None:
    """Gives a classifier or a second autoencoder the encoder that it is to stand on, if any."""
    if start.encoder is None:
        return
    source = start.encoder[0].encoder
    if isinstance(network, Classifier):
        assert network.encoder is not None and source is not None
        network.encoder.load_state_dict(source.state_dict())
    if isinstance(network, PooledAutoencoder):
        assert network.encoder.first is not None and source is not None
        network.encoder.first.load_state_dict(source.state_dict())


def begin_code(encoder: CodeEncoder, config: Config, inputs: Tensor) -> None:
    """Puts the weights of a code in place with which the training of a sparse one begins."""
    if config.model.sparsity == KL:
        rest_at(encoder, config.loss.rho)
    elif RULES[config.model.sparsity].equal_start and len(inputs) > 1:  # one alone has no deviation
        compete(encoder, inputs)
    elif RULES[config.model.sparsity].from_inputs:
        begin_at_inputs(encoder, inputs)


@torch.no_grad()
def begin_at_places(network: ThroughVector, inputs: Tensor) -> None:
    """Binds each unit of the code to one place of a text, the same in encoder and decoder; if there
    are fewer units than places, to several. The mean standard deviation of pre-activations is 1.

    Where each token is spread over all units, as it is by places that are all drawn, those that a
    sparse code keeps do not tell it from others.
    """
    places = network.encoder.places
    length, units = places.shape
    apart = torch.arange(length)[:, None] - torch.arange(units)
    own = (apart % min(length, units) == 0).to(places)
    places.copy_(places.sign() * own * math.sqrt(min(length, units)))
    network.places[:length] = places
    if len(inputs) > 1:
        places.div_(network.encoder.preactivation(inputs).std(0).mean().clamp(min=1e-6))


def rest_at(encoder: CodeEncoder, rho: float) -> None:
    """Lets each sigmoid unit of the code begin at an activation of about rho.

    Training then starts where the penalty is small; from the usual start, half of each unit's
    range, the first epochs only push activations down and the error stays several times higher.
    """
    nn.init.constant_(encoder.to_code.bias, math.log(rho / (1 - rho)))


@torch.no_grad()
def begin_at_inputs(encoder: CodeEncoder, inputs: Tensor) -> None:
    """Initialises the weights of each unit with an input of its layer, scaled to length 1.

    From random weights, 42 % of 1,600 units on patches of 6x6 pixels of CIFAR-10 stay dead.
    """
    layer = encoder.to_code
    places = torch.arange(len(layer.weight)) * len(inputs) // len(layer.weight)
    found: list[Tensor] = []
    hook = layer.register_forward_pre_hook(lambda _, below: found.extend(below))
    encoder.preactivation(inputs[places])
    hook.remove()
    layer.weight.copy_(nn.functional.normalize(found[0]))
    nn.init.zeros_(layer.bias)


@torch.no_grad()
def compete(encoder: CodeEncoder, inputs: Tensor) -> None:
    """Makes all units of the code equally likely to be active at the start.

    Over the inputs, and over the places of a map, the pre-activation of each has mean 0 and the
    same standard deviation. From the usual start the few units with the largest pre-activations for
    the mean image are active for every image, and the others never learn: of 1,000 units on MNIST
    80 % stay dead.
    """
    layer = encoder.to_code

    def by_weights() -> Tensor:
        """The pre-activations, with one column for each row of the weights."""
        values = encoder.preactivation(inputs)
        return values.view(len(values), len(layer.bias), -1).mT.flatten(0, 1)

    deviation = by_weights().std(0)
    layer.weight.mul_((deviation.mean() / deviation.clamp(min=1e-6))[:, None])
    layer.bias.sub_(by_weights().mean(0))


@torch.no_grad()
def begin_at_components(network: MapAutoencoder, images: Tensor, linear_code: bool) -> None:
    """Lets each stage give the principal components of squares of 2x2 places of the stage below,
    and the code, if it is linear, those of its places; the decoder is the inverse.

    Training then begins with the error of PCA of squares of 2 ** stages pixels: on photographs of
    64x64 pixels, eight epochs on 225 others lead to a PSNR of 22.8 dB, from random weights to 19.6.
    """
    height, width = images.shape[2:]
    count = max(1, MOST_PLACES // (min(height, INSIDE) * min(width, INSIDE)))
    top, left = (max(0, side - INSIDE) // 2 for side in (height, width))
    x = images[:count, :, top : top + INSIDE, left : left + INSIDE]
    x, below = x if network.encoder.center is None else x - network.encoder.center, x.shape[1]
    for down, up in network.stages:
        components = principal(squares(x[:, :below]), len(down.halve.weight))
        down.begin(components, below)
        up.begin(components, below)
        x, below = down(x), len(components)
    if linear_code:
        to_code, from_code = network.encoder.to_code, network.decoder.from_code
        components = principal(x[:, :below].movedim(1, -1).flatten(0, 2), len(to_code.weight))
        for tensor in (to_code.bias, from_code.bias, from_code.weight):
            nn.init.zeros_(tensor)
        to_code.weight[: len(components)] = 0
        to_code.weight[: len(components), :below] = components
        from_code.weight[:below, : len(components)] = components.mT


def squares(maps: Tensor) -> Tensor:
    """The squares of 2x2 places of maps, (n, channels, height, width): (m, 4 * channels).

    The places at the end of an odd side are doubled.
    """
    odd = [side % 2 for side in maps.shape[2:]]
    even = nn.functional.pad(maps, [0, odd[1], 0, odd[0]], mode="replicate")
    return nn.functional.pixel_unshuffle(even, 2).movedim(1, -1).flatten(0, 2)


def principal(rows: Tensor, most: int) -> Tensor:
    """The principal components of rows, (n, width), without centring, the strongest first: as rows,
    (at most `most`, width), of length 1; the largest weight of each is positive.
    """
    double = rows.double()
    vectors = torch.linalg.eigh(double.mT @ double).eigenvectors.flip(1).mT[:most]
    largest = vectors.gather(1, vectors.abs().argmax(1, keepdim=True))
    found: Tensor = (vectors * largest.sign()).to(rows.dtype)
    return found


@torch.no_grad()
def begin_at_rows(network: ImageAutoencoder) -> None:
    """Initialises the decoder's columns with the encoder's rows, so that all units of the code are
    of use (Gao et al. 2024, appendix A.1).
    """
    network.decoder.directions.copy_(network.encoder.to_code.weight.t())


@torch.no_grad()
def begin_bias(
    network: ImageAutoencoder | MapsAutoencoder, images: Tensor, median: Tensor | None = None
) -> None:
    """Lets the last bias of the decoder give the mean image, or, of vectors, a `median`: their
    geometric median (Bricken et al. 2023, Towards Monosemanticity).
    """
    bias = network.decoder.last_bias
    value = _mean(images, len(bias)) if median is None else median
    bias.copy_(value.logit(EDGE) if network.output_activation is torch.sigmoid else value)


def _mean(images: Tensor, count: int) -> Tensor:
    """The mean image, flattened; or the mean of each channel, if these are `count` numbers."""
    if count == len(images[0]):
        return images.mean((0, *range(2, images.ndim)))
    return images.mean(0).flatten()


def copy_weights(source: nn.Module, target: nn.Module, option: str = "--load") -> None:
    """Puts the weights of one network, which an `option` names, into another. Raises ModelFileError
    where they do not fit.
    """
    try:
        target.load_state_dict(source.state_dict())
    except RuntimeError as error:
        first = str(error).splitlines()[1].strip() if "\n" in str(error) else str(error)
        raise ModelFileError(f"the weights of {option} do not fit the model: {first}") from None
