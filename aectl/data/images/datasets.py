"""Datasets of images that are known by name: a new one is a new row of DATASETS.

The manual's page `data` lists it, too.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aectl.config.declaration import near_miss
from aectl.data.images import dataset_readers as readers
from aectl.data.images.image_set import ImageSet
from aectl.data.sources import DatasetName
from aectl.data.storage.origins import Origin, at, files_like_mnist
from aectl.errors import DataError, DatasetUnavailableError, UnknownInputError

log = logging.getLogger(__name__)

QMNIST = "https://raw.githubusercontent.com/facebookresearch/qmnist/master/"
TRAIN, TEST, NIST = ["train"], ["test", "test10k", "test50k"], ["nist"]
LIBSVM = "https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass/"
KRIZ = "https://www.cs.toronto.edu/~kriz/"
HOUSE_NUMBERS = "http://ufldl.stanford.edu/housenumbers/"


@dataclass(frozen=True)
class Dataset:
    """A row of DATASETS: the function that reads it, its splits, and the files to download."""

    read: readers.ReadsSplit
    splits: tuple[str, ...] = ("train", "test")
    origins: Sequence[Origin] = ()


DATASETS: dict[str, Dataset] = {
    "mnist": Dataset(
        readers.idx_files("MNIST", readers.DIGITS),
        origins=files_like_mnist(
            "MNIST",
            (
                "https://ossci-datasets.s3.amazonaws.com/mnist/",
                "https://storage.googleapis.com/cvdf-datasets/mnist/",
            ),
            {
                "train-images-idx3-ubyte": (
                    9_912_422,
                    "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
                ),
                "train-labels-idx1-ubyte": (
                    28_881,
                    "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
                ),
                "t10k-images-idx3-ubyte": (
                    1_648_877,
                    "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
                ),
                "t10k-labels-idx1-ubyte": (
                    4_542,
                    "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
                ),
            },
        ),
    ),
    "fashion-mnist": Dataset(
        readers.idx_files("FashionMNIST", readers.FASHION),
        origins=files_like_mnist(
            "FashionMNIST",
            ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
            {
                "train-images-idx3-ubyte": (
                    26_421_880,
                    "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
                ),
                "train-labels-idx1-ubyte": (
                    29_515,
                    "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
                ),
                "t10k-images-idx3-ubyte": (
                    4_422_102,
                    "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
                ),
                "t10k-labels-idx1-ubyte": (
                    5_148,
                    "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
                ),
            },
        ),
    ),
    "kmnist": Dataset(
        readers.idx_files("KMNIST", readers.KUZUSHIJI),
        origins=files_like_mnist(
            "KMNIST",
            ("http://codh.rois.ac.jp/kmnist/dataset/kmnist/",),
            {
                "train-images-idx3-ubyte": (
                    18_165_135,
                    "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4",
                ),
                "train-labels-idx1-ubyte": (
                    29_497,
                    "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17",
                ),
                "t10k-images-idx3-ubyte": (
                    3_041_136,
                    "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5",
                ),
                "t10k-labels-idx1-ubyte": (
                    5_120,
                    "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c",
                ),
            },
        ),
    ),
    "digits": Dataset(readers.digits),
    "qmnist": Dataset(
        readers.torchvision_set("QMNIST", lambda split: {"what": split}, readers.qmnist_arrays),
        ("train", "test", "test10k", "test50k", "nist"),
        origins=[
            at(QMNIST, file, *splits, md5=md5, folder="QMNIST/raw/")
            for file, md5, splits in (
                ("qmnist-train-images-idx3-ubyte.gz", "ed72d4157d28c017586c42bc6afe6370", TRAIN),
                ("qmnist-train-labels-idx2-int.gz", "0058f8dd561b90ffdd0f734c6a30e5e4", TRAIN),
                ("qmnist-test-images-idx3-ubyte.gz", "1394631089c404de565df7b7aeaf9412", TEST),
                ("qmnist-test-labels-idx2-int.gz", "5b5b05890a5e13444e108efe57b788aa", TEST),
                ("xnist-images-idx3-ubyte.xz", "7f124b3b8ab81486c9d8c2749c17f834", NIST),
                ("xnist-labels-idx2-int.xz", "5ed0e788978e45d4a8bd4b7caec3d79d", NIST),
            )
        ],
    ),
    **{
        f"emnist-{subset}": Dataset(
            readers.torchvision_set(
                "EMNIST", partial(readers.of_emnist, subset), readers.emnist_arrays
            ),
            origins=[
                at(
                    "https://biometrics.nist.gov/cs_links/EMNIST/",
                    "gzip.zip",
                    size=561_753_746,
                    sha256="fb9bb67e33772a9cc0b895e4ecf36d2cf35be8b709693c3564cea2a019fcda8e",
                    folder="EMNIST/raw/",
                )
            ],
        )
        for subset in ("byclass", "bymerge", "balanced", "letters", "digits", "mnist")
    },
    "usps": Dataset(
        readers.torchvision_set("USPS", readers.of_train, readers.usps_arrays),
        origins=[
            at(LIBSVM, "usps.bz2", "train", md5="ec16c51db3855ca6c91edd34d0e9b197"),
            at(LIBSVM, "usps.t.bz2", "test", md5="8ea070ee2aca1ac39742fdd1ef5ed118"),
        ],
    ),
    "cifar10": Dataset(
        readers.torchvision_set("CIFAR10", readers.of_train, readers.cifar_arrays),
        origins=[
            at(
                KRIZ,
                "cifar-10-python.tar.gz",
                size=170_498_071,
                sha256="6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
            )
        ],
    ),
    "cifar100": Dataset(
        readers.torchvision_set("CIFAR100", readers.of_train, readers.cifar_arrays),
        origins=[
            at(
                KRIZ,
                "cifar-100-python.tar.gz",
                size=169_001_437,
                sha256="85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
            )
        ],
    ),
    "svhn": Dataset(
        readers.torchvision_set("SVHN", lambda split: {"split": split}, readers.svhn_arrays),
        ("train", "test", "extra"),
        origins=[
            at(
                HOUSE_NUMBERS,
                "train_32x32.mat",
                "train",
                size=182_040_794,
                sha256="435e94d69a87fde4fd4d7f3dd208dfc32cb6ae8af2240d066de1df7508d083b8",
            ),
            at(
                HOUSE_NUMBERS,
                "test_32x32.mat",
                "test",
                size=64_275_384,
                sha256="cdce80dfb2a2c4c6160906d0bd7c68ec5a99d7ca4831afa54f09182025b6a75b",
            ),
            at(
                HOUSE_NUMBERS,
                "extra_32x32.mat",
                "extra",
                size=1_329_278_602,
                sha256="a133a4beb38a00fcdda90c9489e0c04f900b660ce8a316a5e854838379a71eb3",
            ),
        ],
    ),
    "stl10": Dataset(
        readers.torchvision_set("STL10", lambda split: {"split": split}, readers.stl10_arrays),
        ("train", "test", "unlabeled", "train+unlabeled"),
        origins=[
            at(
                "http://ai.stanford.edu/~acoates/stl10/",
                "stl10_binary.tar.gz",
                size=2_640_397_119,
                sha256="f31fd99273a1acb8609c8db427cebb1de3f71de77758cdc0e22956e1289b9866",
            )
        ],
    ),
}
"""Every dataset by the name that users type.

Sizes and SHA-256 are those of TensorFlow Datasets (url_checksums) and Keras (CIFAR); for other
files, the MD5 is that of torchvision. Plain http is used only for files with a SHA-256, which
reveals changes.
"""


def load(word: str, data_dir: Path, *, split: str = "test", download: bool = True) -> ImageSet:
    """Loads the dataset that `word` names: `mnist:train`, or `mnist` for the default `split`.

    `mnist:test/17` is one image of it, counted from 0.

    Raises UnknownInputError for a name, split or image that does not exist, DatasetUnavailableError
    if the data are not in `data_dir` and cannot be downloaded.
    """
    name, named_split, place = DatasetName.of(word)
    if name not in DATASETS:
        raise UnknownInputError(f"no dataset '{name}'{near_miss(name, DATASETS)}")
    dataset = DATASETS[name]
    split = named_split or split
    if split not in dataset.splits:
        raise UnknownInputError(
            f"{name} has no split '{split}'; it has {', '.join(dataset.splits)}"
        )
    try:
        fetch = partial(_fetch, name, split, data_dir) if download else None
        images, labels, classes = dataset.read(data_dir, split, fetch)
    except DataError:
        raise
    except (OSError, RuntimeError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DatasetUnavailableError(
            f"{name} is not in {data_dir} and cannot be downloaded ({reason});"
            " --data-dir names the folder that holds it"
        ) from error
    if labels is not None and labels.max(initial=0) >= len(classes):
        raise DataError(
            f"{name} in {data_dir} is damaged: it has the label {labels.max()}, and"
            f" {len(classes)} classes"
        )
    found = ImageSet(f"{name}:{split}", images, labels, classes)
    return found.part(_row(word, place, len(found))) if place else found


def _fetch(name: str, split: str, data_dir: Path) -> None:
    """Downloads the missing files of a split. Raises DownloadError or OSError."""
    from aectl.data.storage.downloads import fetch

    log.info("downloading %s into %s", name, data_dir)
    for origin in DATASETS[name].origins:
        if split in origin.splits or not origin.splits:
            fetch(origin, data_dir)


def _row(word: str, place: str, count: int) -> NDArray[np.int64]:
    """The row of a single image: (1,). Raises UnknownInputError if there is no such image."""
    if not (place.isascii() and place.isdigit() and int(place) < count):
        raise UnknownInputError(f"no image '{word}': they are numbered from 0 to {count - 1:,}")
    return np.array([int(place)])
