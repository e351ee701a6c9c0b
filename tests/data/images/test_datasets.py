"""Datasets by name: their files on disk, their downloads, and what goes wrong with either."""

import bz2
import contextlib
import dataclasses
import functools
import gzip
import hashlib
import http.server
import inspect
import os
import pickle
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import scipy.io
from conftest import MNIST
from sklearn.datasets import load_digits

from aectl.data.images import datasets
from aectl.data.storage import downloads
from aectl.data.storage.origins import Origin
from aectl.errors import DataError, DatasetUnavailableError, UnknownInputError

DIGITS = tuple("0123456789")
LOWER, UPPER = "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def noise(*shape):
    return np.random.default_rng(sum(shape)).integers(0, 256, shape, dtype=np.uint8)


def idx(values):
    """An array of bytes or 32-bit numbers as an IDX file (yann.lecun.com/exdb/mnist)."""
    code = {np.dtype(np.uint8): 8, np.dtype(">i4"): 12}[values.dtype]
    sizes = b"".join(size.to_bytes(4, "big") for size in values.shape)
    return bytes([0, 0, code, values.ndim]) + sizes + values.tobytes()


def write(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


def write_mnist(folder, images, labels, *, split="test", endings=("", ""), name="MNIST"):
    stem = folder / name / "raw" / ("train" if split == "train" else "t10k")
    write(stem.with_name(f"{stem.name}-images-idx3-ubyte{endings[0]}"), idx(images))
    write(stem.with_name(f"{stem.name}-labels-idx1-ubyte{endings[1]}"), idx(labels))


IMAGES, LABELS = noise(5, 28, 28), np.array([7, 2, 1, 0, 9], np.uint8)
GARMENTS = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
    "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip


@pytest.mark.parametrize("endings", [("", ""), (".gz", ".gz"), (".gz", ""), ("", ".gz")])
@pytest.mark.parametrize("split", ["train", "test"])
def test_mnist_is_read_plain_and_gzipped(tmp_path, endings, split):
    write_mnist(tmp_path, IMAGES, LABELS, split=split, endings=endings)
    found = datasets.load(f"mnist:{split}", tmp_path)
    np.testing.assert_array_equal(found.images, IMAGES[:, None])
    np.testing.assert_array_equal(found.labels, LABELS)
    assert found.classes == DIGITS
    assert (len(found), found.shape) == (5, (1, 28, 28))
    assert found.path(3) == f"mnist:{split}/3"


@pytest.mark.parametrize(
    ("name", "folder", "classes"),
    [
        ("fashion-mnist", "FashionMNIST", GARMENTS),
        ("kmnist", "KMNIST", ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")),
    ],
)
def test_relatives_of_mnist_have_classes_of_their_own(tmp_path, name, folder, classes):
    write_mnist(tmp_path, IMAGES, LABELS, name=folder)
    found = datasets.load(name, tmp_path)
    np.testing.assert_array_equal(found.images[:, 0], IMAGES)
    assert found.classes == classes


def test_the_splits_of_mnist_are_kept_apart(tmp_path):
    write_mnist(tmp_path, IMAGES, LABELS, split="train")
    write_mnist(tmp_path, IMAGES[::-1], LABELS[::-1], split="test")
    np.testing.assert_array_equal(datasets.load("mnist:train", tmp_path).labels, LABELS)
    np.testing.assert_array_equal(datasets.load("mnist", tmp_path).labels, LABELS[::-1])
    np.testing.assert_array_equal(
        datasets.load("mnist", tmp_path, split="train").images[:, 0], IMAGES
    )


def test_mnist_is_read_without_torch_or_torchvision(tmp_path):
    write_mnist(tmp_path, IMAGES, LABELS, endings=(".gz", ""))
    script = (
        "import sys; from pathlib import Path; from aectl.data.images import datasets;"
        "print(len(datasets.load('mnist', Path(sys.argv[1]))),"
        " 'torch' in sys.modules, 'torchvision' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "5 False False\n"


WHOLE = idx(IMAGES)
LABEL_FILE = idx(LABELS)
PACKED = gzip.compress(WHOLE)
BAD_IDX = {
    "images cut short": ("", WHOLE[:-1], LABEL_FILE),
    "images too long": ("", WHOLE + b"\0", LABEL_FILE),
    "header alone": ("", WHOLE[:16], LABEL_FILE),
    "header cut short": ("", WHOLE[:9], LABEL_FILE),
    "empty": ("", b"", LABEL_FILE),
    "wrong magic number": ("", b"\0\0\x0d" + WHOLE[3:], LABEL_FILE),
    "text": ("", b"<html>404 not found</html>", LABEL_FILE),
    "fewer labels than images": ("", WHOLE, idx(LABELS[:-1])),
    "labels as images": ("", LABEL_FILE, LABEL_FILE),
    "images as labels": ("", WHOLE, WHOLE),
    "a label of no class": ("", WHOLE, idx(np.array([7, 2, 1, 0, 10], np.uint8))),
    "gzip cut short": (".gz", PACKED[:-500], LABEL_FILE),
    "gzip that is none": (".gz", WHOLE, LABEL_FILE),
    "gzip with a wrong check sum": (".gz", PACKED[:-8] + bytes(4) + PACKED[-4:], LABEL_FILE),
    "gzip with a wrong block": (".gz", PACKED[:10] + b"\xff" + PACKED[11:], LABEL_FILE),
}


@pytest.mark.parametrize(("ending", "images", "labels"), BAD_IDX.values(), ids=BAD_IDX)
def test_a_damaged_file_of_mnist_is_refused_and_its_folder_named(tmp_path, ending, images, labels):
    folder = tmp_path / "MNIST" / "raw"
    folder.mkdir(parents=True)
    (folder / f"t10k-images-idx3-ubyte{ending}").write_bytes(images)
    (folder / "t10k-labels-idx1-ubyte").write_bytes(labels)
    with pytest.raises(DataError) as refused:
        datasets.load("mnist", tmp_path)
    assert str(tmp_path) in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


def test_digits_are_the_scans_of_scikit_learn(tmp_path):
    scans = load_digits()
    train, test = (datasets.load(f"digits:{split}", tmp_path) for split in ("train", "test"))
    assert (len(train), len(test)) == (1797 - 360, 360)
    assert test.shape == (1, 8, 8)
    images = np.concatenate([train.images, test.images])[:, 0]
    np.testing.assert_array_equal(images, np.round(scans.images * 255 / 16))
    assert (images.min(), images.max()) == (0, 255)
    np.testing.assert_array_equal(np.concatenate([train.labels, test.labels]), scans.target)
    assert test.classes == DIGITS


@pytest.fixture
def unchecked(monkeypatch):
    """Lets torchvision take files whose MD5 sums are not those that were published."""
    from torchvision.datasets import cifar, stl10, svhn

    for module in (cifar, stl10, svhn):
        monkeypatch.setattr(module, "check_integrity", lambda path, md5=None: os.path.isfile(path))


@pytest.mark.parametrize(
    ("split", "stem"), [("train", "qmnist-train"), ("test", "qmnist-test"), ("nist", "xnist")]
)
def test_qmnist_is_what_its_files_hold(tmp_path, split, stem):
    labels = np.arange(40).reshape(5, 8).astype(">i4")
    labels[:, 0] = LABELS
    write(tmp_path / "QMNIST" / "raw" / f"{stem}-images-idx3-ubyte", idx(IMAGES))
    write(tmp_path / "QMNIST" / "raw" / f"{stem}-labels-idx2-int", idx(labels))
    found = datasets.load(f"qmnist:{split}", tmp_path, download=False)
    np.testing.assert_array_equal(found.images[:, 0], IMAGES)
    np.testing.assert_array_equal(found.labels, LABELS)
    assert found.classes == DIGITS


@pytest.mark.parametrize(
    ("split", "rows"), [("test10k", slice(10_000)), ("test50k", slice(10_000, None))]
)
def test_the_parts_of_qmnists_test_split_are_its_first_ten_thousand_and_the_rest(
    tmp_path, split, rows
):
    images, labels = noise(10_003, 2, 3), np.arange(10_003 * 8).reshape(-1, 8) % 10
    write(tmp_path / "QMNIST" / "raw" / "qmnist-test-images-idx3-ubyte", idx(images))
    write(tmp_path / "QMNIST" / "raw" / "qmnist-test-labels-idx2-int", idx(labels.astype(">i4")))
    found = datasets.load(f"qmnist:{split}", tmp_path, download=False)
    np.testing.assert_array_equal(found.images[:, 0], images[rows])
    np.testing.assert_array_equal(found.labels, labels[rows, 0])


EMNIST = {
    "byclass": (*DIGITS, *UPPER, *LOWER),
    "bymerge": (*DIGITS, *UPPER, *"abdefghnqrt"),
    "balanced": (*DIGITS, *UPPER, *"abdefghnqrt"),
    "letters": ("N/A", *LOWER),
    "digits": DIGITS,
    "mnist": DIGITS,
}
"""The classes of EMNIST's subsets (Cohen et al. 2017, table II); letters are numbered from 1."""


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("subset", EMNIST)
def test_emnist_stands_upright(tmp_path, subset, split):
    classes = EMNIST[subset]
    labels = np.array([1, 5, len(classes) - 1], np.uint8)
    stem = tmp_path / "EMNIST" / "raw" / f"emnist-{subset}-{split}"
    transposed = np.ascontiguousarray(IMAGES[:3].transpose(0, 2, 1))
    write(stem.with_name(f"{stem.name}-images-idx3-ubyte"), idx(transposed))
    write(stem.with_name(f"{stem.name}-labels-idx1-ubyte"), idx(labels))
    found = datasets.load(f"emnist-{subset}:{split}", tmp_path, download=False)
    np.testing.assert_array_equal(found.images[:, 0], IMAGES[:3])
    np.testing.assert_array_equal(found.labels, labels)
    assert found.classes == classes


@pytest.mark.parametrize(
    "data", [b"", b"\0\0\x08", b"<html>404 not found</html>", WHOLE[:-1], LABEL_FILE]
)
def test_a_damaged_file_of_emnist_is_refused(tmp_path, data):
    folder = tmp_path / "EMNIST" / "raw"
    write(folder / "emnist-digits-test-images-idx3-ubyte", data)
    write(folder / "emnist-digits-test-labels-idx1-ubyte", LABEL_FILE)
    with pytest.raises(DataError):
        datasets.load("emnist-digits", tmp_path)


def usps_file(images, labels):
    """LIBSVM's text: a class from 1, then index:value with values from -1 to 1."""
    lines = []
    for image, label in zip(images, labels, strict=True):
        values = (image.ravel() + 0.5) / 255 * 2 - 1
        pairs = " ".join(f"{at}:{value:.6f}" for at, value in enumerate(values, 1))
        lines.append(f"{label + 1} {pairs}")
    return bz2.compress("\n".join(lines).encode())


@pytest.mark.parametrize(("split", "name"), [("train", "usps.bz2"), ("test", "usps.t.bz2")])
def test_usps_is_what_its_file_holds(tmp_path, split, name):
    images = noise(5, 16, 16)
    write(tmp_path / name, usps_file(images, LABELS))
    found = datasets.load(f"usps:{split}", tmp_path, download=False)
    np.testing.assert_array_equal(found.images[:, 0], images)
    np.testing.assert_array_equal(found.labels, LABELS)
    assert found.classes == DIGITS


def cifar_batch(images, **labels):
    return pickle.dumps({"data": images.reshape(len(images), -1), **labels})


def test_cifar10_is_what_its_files_hold(tmp_path, unchecked):
    folder = tmp_path / "cifar-10-batches-py"
    images, labels, names = noise(12, 3, 32, 32), [*range(10), 3, 4], [f"c{n}" for n in range(10)]
    for number in range(5):
        rows = slice(2 * number, 2 * number + 2)
        batch = cifar_batch(images[rows], labels=labels[rows])
        write(folder / f"data_batch_{number + 1}", batch)
    write(folder / "test_batch", cifar_batch(images[10:], labels=labels[10:]))
    write(folder / "batches.meta", pickle.dumps({"label_names": names}))
    for split, rows in (("train", slice(10)), ("test", slice(10, 12))):
        found = datasets.load(f"cifar10:{split}", tmp_path, download=False)
        np.testing.assert_array_equal(found.images, images[rows])
        np.testing.assert_array_equal(found.labels, labels[rows])
        assert found.classes == tuple(names)
        assert found.shape == (3, 32, 32)


def test_cifar100_has_its_hundred_fine_classes(tmp_path, unchecked):
    folder = tmp_path / "cifar-100-python"
    images, names = noise(4, 3, 32, 32), [f"fine {n}" for n in range(100)]
    fine, coarse = [99, 3, 57, 0], [1, 2, 3, 4]
    for name, rows in (("train", slice(3)), ("test", slice(3, 4))):
        batch = cifar_batch(images[rows], fine_labels=fine[rows], coarse_labels=coarse[rows])
        write(folder / name, batch)
    meta = {"fine_label_names": names, "coarse_label_names": ["coarse"] * 20}
    write(folder / "meta", pickle.dumps(meta))
    for split, rows in (("train", slice(3)), ("test", slice(3, 4))):
        found = datasets.load(f"cifar100:{split}", tmp_path, download=False)
        np.testing.assert_array_equal(found.images, images[rows])
        np.testing.assert_array_equal(found.labels, fine[rows])
        assert found.classes == tuple(names)


@pytest.mark.parametrize("split", ["train", "test", "extra"])
def test_svhn_is_what_its_file_holds_and_ten_stands_for_zero(tmp_path, unchecked, split):
    images = noise(4, 3, 32, 32)
    held = {"X": images.transpose(2, 3, 1, 0), "y": np.array([[10], [1], [9], [5]], np.uint8)}
    scipy.io.savemat(tmp_path / f"{split}_32x32.mat", held)
    found = datasets.load(f"svhn:{split}", tmp_path, download=False)
    np.testing.assert_array_equal(found.images, images)
    assert found.labels.tolist() == [0, 1, 9, 5]
    assert found.classes == DIGITS


BIRDS = [
    "airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck",
]  # fmt: skip


@pytest.mark.parametrize(
    ("split", "rows", "labels"),
    [
        ("train", [0, 1], [0, 9]),
        ("test", [2], [4]),
        ("unlabeled", [3, 4], None),
        ("train+unlabeled", [0, 1, 3, 4], None),
    ],
)
def test_stl10_is_what_its_files_hold(tmp_path, unchecked, split, rows, labels):
    folder = tmp_path / "stl10_binary"
    images = noise(5, 3, 96, 96)
    columns_first = images.transpose(0, 1, 3, 2)
    for name, part in (("train", slice(2)), ("test", slice(2, 3)), ("unlabeled", slice(3, 5))):
        write(folder / f"{name}_X.bin", columns_first[part].tobytes())
    write(folder / "train_y.bin", bytes([1, 10]))
    write(folder / "test_y.bin", bytes([5]))
    write(folder / "class_names.txt", "\n".join(BIRDS).encode())
    found = datasets.load(f"stl10:{split}", tmp_path, download=False)
    np.testing.assert_array_equal(found.images, images[rows])
    if labels is None:
        assert found.labels is None
        assert found.classes == ()
    else:
        assert found.labels.tolist() == labels
        assert found.classes == tuple(BIRDS)


@pytest.mark.parametrize("typed", ["minst", "minst:train"])
def test_an_unknown_name_comes_with_a_near_miss(tmp_path, typed):
    with pytest.raises(UnknownInputError, match=r"minst.*did you mean 'mnist'"):
        datasets.load(typed, tmp_path)


@pytest.mark.parametrize(
    ("typed", "splits"),
    [("mnist:tset", ["train", "test"]), ("stl10:all", ["train", "test", "unlabeled"])],
)
def test_an_unknown_split_comes_with_those_that_exist(tmp_path, typed, splits):
    with pytest.raises(UnknownInputError) as refused:
        datasets.load(typed, tmp_path)
    assert all(word in str(refused.value) for word in (typed.split(":")[1], *splits))


@pytest.mark.parametrize("name", sorted(set(datasets.DATASETS) - {"digits"}))
def test_a_dataset_that_is_not_there_says_where_it_was_looked_for(tmp_path, name):
    with pytest.raises(DatasetUnavailableError) as refused:
        datasets.load(name, tmp_path, download=False)
    assert name in str(refused.value)
    assert str(tmp_path) in str(refused.value)
    assert "--data-dir" in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize("name", ["mnist", "emnist-letters", "usps", "cifar10", "svhn"])
def test_a_dataset_that_cannot_be_downloaded_is_unavailable(tmp_path, name):
    with pytest.raises(DatasetUnavailableError, match=name):
        datasets.load(name, tmp_path)


class Files(http.server.BaseHTTPRequestHandler):
    """Serves `files` by their paths; those in `cut` without their second half."""

    def __init__(self, files, cut, delay, *arguments):
        self.files, self.cut, self.delay = files, cut, delay
        super().__init__(*arguments)

    def do_GET(self):
        time.sleep(self.delay)
        with contextlib.suppress(OSError):
            self.answer(self.path.strip("/"))

    def answer(self, name):
        if name not in self.files:
            self.send_error(404)
            return
        data = self.files[name]
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[: len(data) // 2] if name in self.cut else data)

    def log_message(self, *arguments):
        pass


@contextlib.contextmanager
def serving(files, cut=(), delay=0.0):
    """The address of a server of files on this machine, which answers after so many seconds."""
    handler = functools.partial(Files, files, cut, delay)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def md5(data):
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


@pytest.fixture
def served():
    """The four files of a small MNIST by name."""
    return {
        f"{stem}-{kind}": gzip.compress(idx(values[::step]), mtime=0)
        for stem, step in (("train", 1), ("t10k", -1))
        for kind, values in (("images-idx3-ubyte.gz", IMAGES), ("labels-idx1-ubyte.gz", LABELS))
    }


def come_from(monkeypatch, name, origins):
    dataset = dataclasses.replace(datasets.DATASETS[name], origins=origins)
    monkeypatch.setitem(datasets.DATASETS, name, dataset)


@pytest.fixture
def mirror(monkeypatch, served):
    """Has files of MNIST come from other addresses; `served` are taken for the real ones."""

    def use(*addresses):
        made = [
            Origin(f"MNIST/raw/{name}", tuple(at + name for at in addresses), len(data),
                   hashlib.sha256(data).hexdigest())
            for name, data in served.items()
        ]  # fmt: skip
        come_from(monkeypatch, "mnist", made)

    return use


def test_mnist_is_downloaded_in_silence_and_then_read_without_the_server(
    tmp_path, served, mirror, capfd
):
    with serving(served) as address:
        mirror(address)
        found = datasets.load("mnist:train", tmp_path)
    assert capfd.readouterr() == ("", "")
    np.testing.assert_array_equal(found.images[:, 0], IMAGES)
    np.testing.assert_array_equal(found.labels, LABELS)
    again = datasets.load("mnist:test", tmp_path)
    np.testing.assert_array_equal(again.images[:, 0], IMAGES[::-1])


def test_a_server_without_the_files_makes_mnist_unavailable(tmp_path, mirror):
    with serving({}) as address:
        mirror(address)
        with pytest.raises(DatasetUnavailableError, match="mnist"):
            datasets.load("mnist", tmp_path)


def test_why_a_download_failed_is_told(tmp_path, mirror):
    with serving({}) as address:
        mirror(address)
        with pytest.raises(DatasetUnavailableError, match="404"):
            datasets.load("mnist", tmp_path)


def test_a_server_that_never_answers_is_given_up(tmp_path, mirror, monkeypatch):
    monkeypatch.setattr(downloads, "IDLE_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        mirror(f"http://127.0.0.1:{server.getsockname()[1]}/")
        with pytest.raises(DatasetUnavailableError, match="mnist"):
            datasets.load("mnist", tmp_path)


def test_a_server_that_answers_too_late_is_given_up(tmp_path, served, mirror, monkeypatch):
    monkeypatch.setattr(downloads, "IDLE_SECONDS", 0.5)
    with serving(served, delay=3) as address:
        mirror(address)
        with pytest.raises(DatasetUnavailableError, match="mnist"):
            datasets.load("mnist", tmp_path)


def test_a_file_that_is_not_the_published_one_is_refused(tmp_path, served, mirror):
    other = {name: data[:-1] + b"!" for name, data in served.items()}
    with serving(other) as address, serving(served) as sound:
        mirror(address)
        with pytest.raises(DatasetUnavailableError, match="SHA-256"):
            datasets.load("mnist", tmp_path)
        assert not list((tmp_path / "MNIST" / "raw").iterdir())
        mirror(address, sound)
        assert len(datasets.load("mnist", tmp_path)) == 5


def test_files_that_are_there_are_not_downloaded_again(tmp_path, mirror):
    write_mnist(tmp_path, IMAGES, LABELS)
    with serving({}) as address:
        mirror(address)
        assert len(datasets.load("mnist", tmp_path)) == 5


@pytest.mark.parametrize("name", ["train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"])
def test_a_download_that_was_cut_off_is_made_good_by_the_next(tmp_path, served, mirror, name):
    with serving(served, cut=(name,)) as address:
        mirror(address)
        with pytest.raises(DatasetUnavailableError):
            datasets.load("mnist:train", tmp_path)
    with serving(served) as address:
        mirror(address)
        found = datasets.load("mnist:train", tmp_path)
    np.testing.assert_array_equal(found.labels, LABELS)


def test_usps_is_downloaded_where_it_is_missing(tmp_path, monkeypatch):
    from torchvision.datasets import USPS

    images = noise(5, 16, 16)
    data = usps_file(images, LABELS)
    with serving({"usps.t.bz2": data}) as address:
        entry = [f"{address}usps.t.bz2", "usps.t.bz2", md5(data)]
        monkeypatch.setitem(USPS.split_list, "test", entry)
        origin = Origin("usps.t.bz2", (entry[0],), md5=md5(data), splits=("test",))
        come_from(monkeypatch, "usps", [origin])
        found = datasets.load("usps", tmp_path)
    np.testing.assert_array_equal(found.images[:, 0], images)


def test_svhn_is_downloaded_where_it_is_missing(tmp_path, monkeypatch):
    from torchvision.datasets import SVHN

    images = noise(4, 3, 32, 32)
    held = {"X": images.transpose(2, 3, 1, 0), "y": np.array([[1], [2], [3], [4]], np.uint8)}
    scipy.io.savemat(tmp_path / "made.mat", held)
    data = (tmp_path / "made.mat").read_bytes()
    with serving({"test_32x32.mat": data}) as address:
        entry = [f"{address}test_32x32.mat", "test_32x32.mat", md5(data)]
        monkeypatch.setitem(SVHN.split_list, "test", entry)
        known = hashlib.sha256(data).hexdigest()
        origin = Origin("test_32x32.mat", (entry[0],), len(data), known, splits=("test",))
        come_from(monkeypatch, "svhn", [origin])
        found = datasets.load("svhn", tmp_path)
    np.testing.assert_array_equal(found.images, images)


THEIRS = {
    "mnist": "MNIST", "fashion-mnist": "FashionMNIST", "kmnist": "KMNIST", "qmnist": "QMNIST",
    "emnist-letters": "EMNIST", "usps": "USPS", "cifar10": "CIFAR10", "cifar100": "CIFAR100",
    "svhn": "SVHN", "stl10": "STL10",
}  # fmt: skip
"""Torchvision's names of datasets."""


def test_every_dataset_but_those_of_libraries_has_files_to_download():
    having = {name for name, row in datasets.DATASETS.items() if row.origins}
    emnist = {f"emnist-{subset}" for subset in EMNIST}
    assert having == {*THEIRS, *emnist} == set(datasets.DATASETS) - {"digits"}


@pytest.mark.parametrize(("name", "kind"), THEIRS.items())
def test_the_files_are_those_that_torchvision_reads(name, kind):
    """By the names and, where it alone has digests, by the MD5 that torchvision has."""
    import torchvision.datasets

    theirs = inspect.getsource(sys.modules[getattr(torchvision.datasets, kind).__module__])
    for origin in datasets.DATASETS[name].origins:
        assert os.path.basename(origin.place) in theirs or kind == "EMNIST"
        assert origin.md5 is None or origin.md5 in theirs
        assert origin.sha256 or all(url.startswith("https://") for url in origin.urls)


@pytest.mark.skipif(
    not (MNIST / "MNIST" / "raw" / "train-images-idx3-ubyte").exists(),
    reason=f"MNIST is not in {MNIST}; AECTL_TEST_DATA names the folder that holds it",
)
def test_mnist_is_the_published_mnist():
    train, test = (datasets.load(f"mnist:{split}", MNIST) for split in ("train", "test"))
    assert (len(train), len(test)) == (60_000, 10_000)
    assert train.shape == test.shape == (1, 28, 28)
    assert train.labels[:3].tolist() == [5, 0, 4]
    assert test.labels[:3].tolist() == [7, 2, 1]
    assert train.images.mean() / 255 == pytest.approx(0.1307, abs=5e-5)


@pytest.mark.parametrize(("count", "wanted"), [(10, 4), (7, 7), (5, 9), (79, 40), (19, 10)])
def test_a_spread_reaches_over_the_whole_set(count, wanted):
    images = datasets.ImageSet("n", np.arange(count, dtype=np.uint8).reshape(count, 1, 1, 1))
    found = images.evenly_spaced(wanted).images.flatten().tolist()
    assert len(set(found)) == min(count, wanted)
    assert found == sorted(found)
    assert (found[0], found[-1] >= count - -(-count // wanted)) == (0, True)
