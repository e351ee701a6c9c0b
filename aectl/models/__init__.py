"""The networks: what they compute, and nothing of losses, devices or files."""

from aectl.models.autoencoder import Autoencoder
from aectl.models.classifier import Classifier
from aectl.models.conv_autoencoder import ConvAutoencoder

Network = Autoencoder | ConvAutoencoder | Classifier

__all__ = ["Autoencoder", "Classifier", "ConvAutoencoder", "Network"]
