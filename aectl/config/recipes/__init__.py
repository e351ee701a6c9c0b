"""Published results as options of `aectl train`, one TOML file each, with their descriptions."""

from dataclasses import dataclass
from importlib import resources

from aectl.config import declaration as options
from aectl.config.written_options import read_toml
from aectl.errors import ConfigError


@dataclass(frozen=True)
class Recipe:
    """A `published` result, and the `expected` result of the recipe on the test set.

    Both are empty if the recipe is only the first step of another one. `minutes`: training time on
    4 CPU cores, None if that was not measured. `encoder`: the recipe whose model this one starts
    from.
    """

    source: str
    published: str
    expected: str
    minutes: float | None
    encoder: str = ""


RECIPES: dict[str, Recipe] = {
    "deep-30": Recipe(
        "Hinton & Salakhutdinov 2006: 784-1000-500-250-30",
        "sse 3.00, with RBM pretraining; PCA-30 13.87",
        "sse 1.85",
        4,
    ),
    "k-sparse": Recipe(
        "Makhzani & Frey 2013: 1000 units, tied, k = 25; all positive units at inference",
        "",
        "",
        3,
    ),
    "k-sparse-linear": Recipe(
        "Makhzani & Frey 2013: logistic regression on the frozen code of k-sparse",
        "error 1.35 %, after 5000 epochs",
        "error 1.19 %",
        0.5,
        "k-sparse",
    ),
    "k-sparse-tuned": Recipe(
        "Makhzani & Frey 2013: the encoder of k-sparse, fine-tuned with labels",
        "error 1.08 %",
        "error 0.93 %",
        1.5,
        "k-sparse",
    ),
    "contractive": Recipe("Rifai et al. 2011: 1000 sigmoid units, tied", "", "", 0.7),
    "contractive-tuned": Recipe(
        "Rifai et al. 2011: the encoder of contractive, fine-tuned with labels",
        "error 1.14 %",
        "error 0.88 %",
        1.7,
        "contractive",
    ),
    "denoising": Recipe(
        "Vincent et al. 2010: three layers of 1000 units, 25 % masking, each trained alone first",
        "",
        "",
        1,
    ),
    "denoising-tuned": Recipe(
        "Vincent et al. 2010: the encoder of denoising, fine-tuned with labels",
        "error 1.28 %",
        "error 0.78 %",
        4,
        "denoising",
    ),
    "dropout": Recipe(
        "Srivastava et al. 2014: the encoder of denoising, fine-tuned with labels and dropout",
        "error 0.85 %",
        "error 0.79 %",
        3.6,
        "denoising",
    ),
    "fc-wta": Recipe("Makhzani & Frey 2015: 2000 units, 5 % lifetime sparsity, tied", "", "", 3.2),
    "fc-wta-linear": Recipe(
        "Makhzani & Frey 2015: logistic regression on the frozen code of fc-wta",
        "error 1.20 %, with a linear SVM",
        "error 0.94 %",
        0.7,
        "fc-wta",
    ),
    "conv-wta": Recipe(
        "Makhzani & Frey 2015: convolutional, but 64 maps in place of 128, and 5 epochs",
        "",
        "",
        None,
    ),
    "conv-wta-linear": Recipe(
        "Makhzani & Frey 2015: linear SVMs on the pooled maps of conv-wta",
        "error about 0.48 %, with a linear SVM on two layers of more maps",
        "error 0.78 %",
        None,
        "conv-wta",
    ),
    "conv-wta-cifar10-first": Recipe(
        "Coates, Ng & Lee 2011: 128 units on 8x8 patches, features of both signs, 8x8 cells",
        "",
        "",
        None,
    ),
    "conv-wta-cifar10": Recipe(
        "Makhzani & Frey 2015: 1024 units on 3x3 of the maps of conv-wta-cifar10-first; both",
        "",
        "",
        None,
        "conv-wta-cifar10-first",
    ),
    "conv-wta-cifar10-linear": Recipe(
        "Makhzani & Frey 2015: linear SVMs on the features of conv-wta-cifar10",
        "error about 20 %, with three layers",
        "error 22.1 %",
        None,
        "conv-wta-cifar10",
    ),
    "patches": Recipe(
        "Coates, Ng & Lee 2011: 1600 units on 8x8 patches, features of both signs, 2x2 cells",
        "",
        "",
        None,
    ),
    "patches-linear": Recipe(
        "Coates, Ng & Lee 2011: linear SVMs on the features of patches",
        "error 22.1 % with k-means",
        "error 22.5 %",
        None,
        "patches",
    ),
    "patches-topk": Recipe(
        "Coates, Ng & Lee 2011: a sparse autoencoder of 800 units, 1600 features a cell",
        "",
        "",
        None,
    ),
    "patches-topk-linear": Recipe(
        "Coates, Ng & Lee 2011: linear SVMs on the features of patches-topk",
        "error 26.6 % with a sparse autoencoder",
        "error 22.7 %",
        None,
        "patches-topk",
    ),
    "patches-4000": Recipe("Coates, Ng & Lee 2011: the same with 4000 units", "", "", None),
    "patches-4000-linear": Recipe(
        "Coates, Ng & Lee 2011: linear SVMs on the features of patches-4000",
        "error 20.4 % with k-means",
        "error 21.0 %",
        None,
        "patches-4000",
    ),
    "one-class": Recipe(
        "Ruff et al. 2018: each digit of MNIST against the others, from images of it alone",
        "AUROC 0.948 with deep SVDD, 0.897 with a convolutional autoencoder",
        "AUROC 0.99 with aectl detect --score cosine",
        None,
    ),
    "textures": Recipe(
        "Roth et al. 2022: defects of textures, from patches; the tiles of Huang, Qiu & Yuan 2018",
        "none on these images; PCA: AUROC 0.66, of pixels 0.63",
        "AUROC 0.84, of pixels 0.74 with aectl detect --score places",
        None,
    ),
    "cs294a": Recipe(
        "Ng 2011, CS294A lecture notes: 64-25-64 on whitened patches of the folder photos",
        "edge filters",
        "edge filters in filters.png",
        0.2,
    ),
}


def read(name: str) -> dict[str, object]:
    """The options of a recipe. Raises ConfigError if there is none of this name."""
    if name not in RECIPES:
        raise ConfigError(
            f"no recipe '{name}'{options.near_miss(name, RECIPES)}; aectl recipes lists them"
        )
    with resources.as_file(resources.files(__package__) / f"{name}.toml") as path:
        return read_toml(path)
