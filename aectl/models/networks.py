"""The networks, which know nothing of losses, devices or files."""

from aectl.models.autoencoder import Autoencoder
from aectl.models.classifier import Classifier
from aectl.models.conv_autoencoder import ConvAutoencoder
from aectl.models.patch_autoencoder import PatchAutoencoder
from aectl.models.text_autoencoder import ThroughText, ThroughVector

ImageNetwork = Autoencoder | ConvAutoencoder | PatchAutoencoder | Classifier
TextNetwork = ThroughVector | ThroughText
Network = ImageNetwork | TextNetwork

__all__ = [
    "Autoencoder",
    "Classifier",
    "ConvAutoencoder",
    "ImageNetwork",
    "Network",
    "PatchAutoencoder",
    "TextNetwork",
    "ThroughText",
    "ThroughVector",
]
