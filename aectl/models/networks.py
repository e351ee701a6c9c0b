"""The networks, which know nothing of losses, devices or files."""

from aectl.models.autoencoder import Autoencoder
from aectl.models.classifier import Classifier
from aectl.models.conv_autoencoder import ConvAutoencoder
from aectl.models.conv_wta_autoencoder import ConvWTAAutoencoder
from aectl.models.map_autoencoder import MapAutoencoder
from aectl.models.patch_autoencoder import PatchAutoencoder
from aectl.models.pooling import PooledAutoencoder
from aectl.models.shorter_text import ThroughText
from aectl.models.text_autoencoder import ThroughVector
from aectl.models.words_autoencoder import ThroughWords

ImageAutoencoder = Autoencoder | ConvAutoencoder | MapAutoencoder
ImageNetwork = ImageAutoencoder | PatchAutoencoder | ConvWTAAutoencoder | Classifier
TextNetwork = ThroughVector | ThroughText | ThroughWords
Network = ImageNetwork | TextNetwork

__all__ = [
    "Autoencoder",
    "Classifier",
    "ConvAutoencoder",
    "ConvWTAAutoencoder",
    "ImageAutoencoder",
    "ImageNetwork",
    "MapAutoencoder",
    "Network",
    "PatchAutoencoder",
    "PooledAutoencoder",
    "TextNetwork",
    "ThroughText",
    "ThroughVector",
    "ThroughWords",
]
