"""Readers of datasets: from files, as published, to arrays of images and labels."""

import contextlib
import importlib.metadata
import io
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aectl.data.images import idx
from aectl.data.images.image_set import Labels
from aectl.data.images.pixels import Pixels
from aectl.errors import DataError

Loaded = tuple[Pixels, Labels | None, tuple[str, ...]]
"""Images, (n, channels, height, width), labels, (n,), and the names of the classes."""

Fetch = Callable[[], None]
"""Downloads the files of a dataset that are missing. Raises DownloadError or OSError."""

ReadsSplit = Callable[[Path, str, Fetch | None], Loaded]
"""Reads a split of a dataset in a data folder; a file that is missing is fetched, if possible."""

DIGITS_FILE = "sklearn/datasets/data/digits.csv.gz"
DIGITS = tuple("0123456789")
FASHION = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
    "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
KUZUSHIJI = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")


def digits(data_dir: Path, split: str, fetch: Fetch | None) -> Loaded:
    """scikit-learn's 8x8 scans, 0 to 16 scaled to 0 to 255; the last 360 are the test split."""
    table = _table_of_digits()
    part = table[:-360] if split == "train" else table[-360:]
    images = (part[:, :-1] * (255 / 16)).round().astype(np.uint8).reshape(-1, 1, 8, 8)
    return images, part[:, -1].astype(np.int64), DIGITS


@cache
def _table_of_digits() -> NDArray[np.float64]:
    """The pixels and the label of each scan, (1797, 65).

    Read from its file, because importing scikit-learn takes as long as training on the scans.
    """
    file = importlib.metadata.distribution("scikit-learn").locate_file(DIGITS_FILE)
    return np.loadtxt(str(file), delimiter=",")


def idx_files(folder: str, classes: tuple[str, ...]) -> ReadsSplit:
    """A dataset in the file format of MNIST, plain or gzipped, in `folder`/raw."""

    def read(data_dir: Path, split: str, fetch: Fetch | None) -> Loaded:
        raw = data_dir / folder / "raw"
        stem = "train" if split == "train" else "t10k"
        files = [raw / f"{stem}-{kind}-ubyte" for kind in ("images-idx3", "labels-idx1")]
        if fetch and not all(idx.present(path) for path in files):
            fetch()
        images, labels = (idx.read(path) for path in files)
        if images.ndim != 3 or labels.shape != images.shape[:1]:
            raise DataError(f"{raw}: its files do not hold as many labels as images")
        return images[:, None], labels.astype(np.int64), classes

    return read


def torchvision_set(
    name: str, arguments: Callable[[str], dict[str, Any]], unpack: Callable[[Any], Loaded]
) -> ReadsSplit:
    """A dataset that torchvision's class `name` reads, of the `arguments` for a split; `unpack`
    extracts the arrays from its object."""

    def read(data_dir: Path, split: str, fetch: Fetch | None) -> Loaded:
        kind = partial(getattr(_torchvision_datasets(), name), str(data_dir), **arguments(split))
        try:
            found = kind(download=False)
        except (RuntimeError, FileNotFoundError):
            if not fetch:
                raise
            fetch()
            silent = io.StringIO()
            with contextlib.redirect_stdout(silent), contextlib.redirect_stderr(silent):
                found = kind(download=True)  # which finds the files, and unpacks them
        except Exception as error:
            raise DataError(f"{name} in {data_dir} is damaged: {error!r}") from error
        return unpack(found)

    return read


def _torchvision_datasets() -> Any:
    from torchvision import datasets

    return datasets


def of_train(split: str) -> dict[str, Any]:
    """The arguments of torchvision's classes that know two splits."""
    return {"train": split == "train"}


def _channels_first(images: NDArray[Any]) -> Pixels:
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2))


def cifar_arrays(found: Any) -> Loaded:
    """The arrays of CIFAR."""
    labels = np.array(found.targets, np.int64)
    return _channels_first(found.data), labels, tuple(found.classes)


def emnist_arrays(found: Any) -> Loaded:
    """EMNIST, upright: its files contain transposed images."""
    images = found.data.numpy().transpose(0, 2, 1)[:, None]
    return np.ascontiguousarray(images), found.targets.numpy(), tuple(found.classes)


def qmnist_arrays(found: Any) -> Loaded:
    """The arrays of QMNIST, with the first of its eight labels."""
    return found.data.numpy()[:, None], found.targets[:, 0].numpy().astype(np.int64), DIGITS


def usps_arrays(found: Any) -> Loaded:
    """The arrays of USPS."""
    return found.data[:, None], np.array(found.targets, np.int64), DIGITS


def svhn_arrays(found: Any) -> Loaded:
    """The arrays of SVHN."""
    return found.data, found.labels.astype(np.int64), DIGITS


def stl10_arrays(found: Any) -> Loaded:
    """The arrays of STL-10; unlabelled images have no labels."""
    labelled = found.labels is not None and (found.labels >= 0).all()
    labels = found.labels.astype(np.int64) if labelled else None
    return found.data, labels, tuple(found.classes) if labelled else ()


def of_emnist(subset: str, split: str) -> dict[str, Any]:
    """The arguments for a split of a subset of EMNIST."""
    return {"split": subset, "train": split == "train"}
