"""Datasets of images that are known by name, each as one uint8 array in memory."""

import contextlib
import hashlib
import importlib.metadata
import io
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aectl.config.declaration import near_miss
from aectl.config.shapes import Shape
from aectl.data.images import idx
from aectl.data.images.decode import Pixels, fit_all
from aectl.data.sources import DatasetName
from aectl.data.storage.origins import origins_of
from aectl.errors import DataError, DatasetUnavailableError, UnknownInputError

log = logging.getLogger(__name__)

Labels = NDArray[np.int64]
Loaded = tuple[Pixels, Labels | None, tuple[str, ...]]


@dataclass(frozen=True)
class ImageSet:
    """Images with their labels.

    images: (n, channels, height, width), 0 to 255; labels: (n,), indices into `classes`, or None;
    held_out: the rows of the set's own validation set, or None if it has none.
    """

    name: str
    images: Pixels
    labels: Labels | None = None
    classes: tuple[str, ...] = ()
    paths: tuple[str, ...] | None = None
    held_out: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.images)

    @property
    def shape(self) -> Shape:
        """(channels, height, width) of an image."""
        channels, height, width = self.images.shape[1:]
        return channels, height, width

    @cached_property
    def checksum(self) -> str:
        """SHA-256 of the images as bytes, then the labels and the rows of the validation set, if
        any, as little-endian int64.
        """
        found = hashlib.sha256(np.ascontiguousarray(self.images).data)
        if self.labels is not None:
            found.update(np.ascontiguousarray(self.labels, "<i8").data)
        if self.held_out is not None:
            found.update(np.ascontiguousarray(self.held_out, "<i8").data)
        return found.hexdigest()

    def path(self, index: int) -> str:
        """The entry in the `path` column of a table: a file, or a name such as `mnist:test/17`."""
        return self.paths[index] if self.paths else f"{self.name}/{index}"

    def label(self, index: int) -> str | None:
        """The name of an image's class, or None."""
        return None if self.labels is None else self.classes[self.labels[index]]

    def evenly_spaced(self, count: int) -> "ImageSet":
        """At most `count` images, at equal distances in the set, which may be sorted by class."""
        if count >= len(self):
            return self
        return self.part(np.arange(count) * len(self) // count)

    def part(self, rows: NDArray[np.int64]) -> "ImageSet":
        """The images of some rows, with their paths."""
        return ImageSet(
            self.name,
            self.images[rows],
            None if self.labels is None else self.labels[rows],
            self.classes,
            tuple(self.path(row) for row in rows.tolist()),
        )

    def fitted(self, shape: Shape) -> "ImageSet":
        """The same images in another shape."""
        return replace(self, images=fit_all(self.images, shape))


@dataclass(frozen=True)
class Dataset:
    """A row of DATASETS; `read(data_dir, split, download)` returns images and labels.

    The files to download are rows of `data.storage.origins.ORIGINS`.
    """

    read: Callable[[Path, str, bool], Loaded]
    splits: tuple[str, ...] = ("train", "test")


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
        images, labels, classes = dataset.read(data_dir, split, download)
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


def _row(word: str, place: str, count: int) -> NDArray[np.int64]:
    """The row of a single image: (1,). Raises UnknownInputError if there is no such image."""
    if not (place.isascii() and place.isdigit() and int(place) < count):
        raise UnknownInputError(f"no image '{word}': they are numbered from 0 to {count - 1:,}")
    return np.array([int(place)])


def _digits(data_dir: Path, split: str, download: bool) -> Loaded:
    """scikit-learn's 8x8 scans, 0 to 16 scaled to 0 to 255; the last 360 are the test split.

    Read from its file, because importing scikit-learn takes as long as training on the scans.
    """
    file = importlib.metadata.distribution("scikit-learn").locate_file(_DIGITS_FILE)
    table = np.loadtxt(str(file), delimiter=",")
    part = table[:-360] if split == "train" else table[-360:]
    images = (part[:, :-1] * (255 / 16)).round().astype(np.uint8).reshape(-1, 1, 8, 8)
    return images, part[:, -1].astype(np.int64), _DIGITS


def _idx(torchvision_name: str, classes: tuple[str, ...], data_dir: Path, split: str,
         download: bool) -> Loaded:  # fmt: skip
    """A dataset in the file format of MNIST, plain or gzipped."""
    folder = data_dir / torchvision_name / "raw"
    stem = "train" if split == "train" else "t10k"
    files = [folder / f"{stem}-{kind}-ubyte" for kind in ("images-idx3", "labels-idx1")]
    if download and not all(idx.present(path) for path in files):
        _download(torchvision_name, split, data_dir)
    images, labels = (idx.read(path) for path in files)
    if images.ndim != 3 or labels.shape != images.shape[:1]:
        raise DataError(f"{folder}: its files do not hold as many labels as images")
    return images[:, None], labels.astype(np.int64), classes


def _torchvision(
    name: str, arguments: Callable[[str], dict[str, Any]], unpack: Callable[[Any], Loaded],
    data_dir: Path, split: str, download: bool,
) -> Loaded:  # fmt: skip
    """A dataset that torchvision reads; `unpack` extracts the arrays from its object."""
    kind = partial(getattr(_torchvision_datasets(), name), str(data_dir), **arguments(split))
    try:
        found = kind(download=False)
    except (RuntimeError, FileNotFoundError):
        if not download:
            raise
        _download(name, split, data_dir)
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            found = kind(download=True)  # which finds the files, and unpacks them
    except Exception as error:
        raise DataError(f"{name} in {data_dir} is damaged: {error!r}") from error
    return unpack(found)


def _torchvision_datasets() -> Any:
    from torchvision import datasets

    return datasets


def _download(name: str, split: str, data_dir: Path) -> None:
    """Downloads the missing files. Raises DownloadError or OSError."""
    from aectl.data.storage.downloads import fetch

    log.info("downloading %s into %s", name, data_dir)
    for origin in origins_of(name, split):
        fetch(origin, data_dir)


def _train(split: str) -> dict[str, Any]:
    return {"train": split == "train"}


def _channels_first(images: NDArray[Any]) -> Pixels:
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2))


def _cifar(found: Any) -> Loaded:
    labels = np.array(found.targets, np.int64)
    return _channels_first(found.data), labels, tuple(found.classes)


def _emnist(found: Any) -> Loaded:
    """EMNIST, upright: its files contain transposed images."""
    images = found.data.numpy().transpose(0, 2, 1)[:, None]
    return np.ascontiguousarray(images), found.targets.numpy(), tuple(found.classes)


def _qmnist(found: Any) -> Loaded:
    return found.data.numpy()[:, None], found.targets[:, 0].numpy().astype(np.int64), _DIGITS


def _usps(found: Any) -> Loaded:
    return found.data[:, None], np.array(found.targets, np.int64), _DIGITS


def _svhn(found: Any) -> Loaded:
    return found.data, found.labels.astype(np.int64), _DIGITS


def _stl10(found: Any) -> Loaded:
    labelled = found.labels is not None and (found.labels >= 0).all()
    labels = found.labels.astype(np.int64) if labelled else None
    return found.data, labels, tuple(found.classes) if labelled else ()


_DIGITS_FILE = "sklearn/datasets/data/digits.csv.gz"
_DIGITS = tuple("0123456789")
_FASHION = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
    "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
_KUZUSHIJI = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")


def _emnist_split(subset: str, split: str) -> dict[str, Any]:
    return {"split": subset, "train": split == "train"}


DATASETS: dict[str, Dataset] = {
    "mnist": Dataset(partial(_idx, "MNIST", _DIGITS)),
    "fashion-mnist": Dataset(partial(_idx, "FashionMNIST", _FASHION)),
    "kmnist": Dataset(partial(_idx, "KMNIST", _KUZUSHIJI)),
    "digits": Dataset(_digits),
    "qmnist": Dataset(
        partial(_torchvision, "QMNIST", lambda split: {"what": split}, _qmnist),
        ("train", "test", "test10k", "test50k", "nist"),
    ),
    **{
        f"emnist-{subset}": Dataset(
            partial(_torchvision, "EMNIST", partial(_emnist_split, subset), _emnist)
        )
        for subset in ("byclass", "bymerge", "balanced", "letters", "digits", "mnist")
    },
    "usps": Dataset(partial(_torchvision, "USPS", _train, _usps)),
    "cifar10": Dataset(partial(_torchvision, "CIFAR10", _train, _cifar)),
    "cifar100": Dataset(partial(_torchvision, "CIFAR100", _train, _cifar)),
    "svhn": Dataset(
        partial(_torchvision, "SVHN", lambda split: {"split": split}, _svhn),
        ("train", "test", "extra"),
    ),
    "stl10": Dataset(
        partial(_torchvision, "STL10", lambda split: {"split": split}, _stl10),
        ("train", "test", "unlabeled", "train+unlabeled"),
    ),
}
"""Every dataset by the name that users type."""
