"""Floating-point operations of an input, beside what torch counts while networks run."""

from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from aectl.models import model_file
from aectl.models.operations import flops

BRIEF = ("--dataset", "digits:test", "--epochs", "1")
PATCHES = (
    *BRIEF, "--model", "patch-autoencoder", "--hidden", "20", "--patch-size", "3x3", "--patches",
    "2000",
)  # fmt: skip
WINNERS = (*BRIEF, "--model", "conv-wta-autoencoder", "--hidden", "8,8", "--grid", "2x2")
KINDS = {
    "dense": BRIEF,
    "deep": (*BRIEF, "--hidden", "32,8"),
    "map": (*BRIEF, "--model", "conv-autoencoder", "--hidden", "8,6,3"),
    "vector": (
        *BRIEF, "--model", "conv-autoencoder", "--bottleneck", "vector", "--hidden", "4,8,12",
    ),
    "patches": PATCHES,
    "codes of patches": (*PATCHES, "--features", "code"),
    "winners": WINNERS,
}  # fmt: skip


def counted(run, network, images):
    """The operations for an image, without those that are done once for all images."""
    totals = []
    for count in (1, 1, 2):  # what is done once is kept after the first
        with torch.inference_mode(), FlopCounterMode(display=False) as counter:
            run(network)(images[:count])
        totals.append(counter.get_total_flops())
    return totals[2] - totals[1]


def drawn(card):
    """The operations by which the winners of maps draw their filters, which torch does not count,
    as they are no convolution."""
    config = card.architecture.config
    winners = config.model == "conv-wta-autoencoder"
    return 2 * card.architecture.hidden[-1] * config.filter_size**2 if winners else 0


@pytest.mark.parametrize("kind", KINDS)
def test_operations_are_those_that_torch_counts(trained, kind):
    network, card = model_file.load(Path(trained(*KINDS[kind])))
    images = torch.rand(2, *card.shape)
    found = flops(card.architecture)
    assert found["encode"] == counted(lambda net: net.encode, network, images)
    whole = counted(lambda net: net.reconstruct, network, images)
    assert found["reconstruct"] == whole + drawn(card)


@pytest.mark.parametrize("below", [None, PATCHES, BRIEF])
def test_a_classifier_counts_the_encoder_below(trained, below):
    encoder = () if below is None else ("--encoder", str(trained(*below)))
    model = trained(*BRIEF, "--model", "classifier", "--hidden", "16", *encoder)
    network, card = model_file.load(Path(model))
    images = torch.rand(2, *card.shape)
    assert flops(card.architecture) == {
        "classify": counted(lambda net: net.probabilities, network, images)
    }


def test_text_has_no_number_of_operations(request):
    formats = request.path.parent.parent / "formats"
    assert flops(model_file.read_card(formats / "3-text.safetensors").architecture) == {}
    assert flops(model_file.read_card(formats / "3-text-classifier.safetensors").architecture) == {}
