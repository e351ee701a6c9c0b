"""Origins of the files of named datasets, with sizes and digests that identify the right files.

Sizes and SHA-256 are those of TensorFlow Datasets (url_checksums) and Keras (CIFAR); for other
files, the MD5 is that of torchvision.
"""

from dataclasses import dataclass


class DownloadError(RuntimeError):
    """A file that cannot be downloaded, or is not the expected file."""


@dataclass(frozen=True)
class Origin:
    """A file: its `place` below the data folder, addresses that are tried in turn, and digests.

    `size`: in bytes; None if unknown. `splits`: those that need the file; all if empty.
    """

    place: str
    urls: tuple[str, ...]
    size: int | None = None
    sha256: str | None = None
    md5: str | None = None
    splits: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        assert self.sha256 or self.md5


def origins_of(name: str, split: str) -> list[Origin]:
    """The files that a split of a dataset needs; `name` is torchvision's name of the dataset."""
    return [origin for origin in ORIGINS[name] if split in origin.splits or not origin.splits]


def _idx_files(
    name: str, mirrors: tuple[str, ...], rows: dict[str, tuple[int, str]]
) -> list[Origin]:
    """The four files of a set in the layout of MNIST."""
    return [
        Origin(f"{name}/raw/{file}.gz", tuple(f"{at}{file}.gz" for at in mirrors), size, digest)
        for file, (size, digest) in rows.items()
    ]


def _qmnist(file: str, md5: str, *splits: str) -> Origin:
    url = f"https://raw.githubusercontent.com/facebookresearch/qmnist/master/{file}"
    return Origin(f"QMNIST/raw/{file}", (url,), md5=md5, splits=splits)


def _svhn(split: str, size: int, sha256: str) -> Origin:
    file = f"{split}_32x32.mat"
    url = f"http://ufldl.stanford.edu/housenumbers/{file}"
    return Origin(file, (url,), size, sha256, splits=(split,))


def _usps(file: str, md5: str, split: str) -> Origin:
    url = f"https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass/{file}"
    return Origin(file, (url,), md5=md5, splits=(split,))


def _cifar(file: str, size: int, sha256: str) -> Origin:
    return Origin(file, (f"https://www.cs.toronto.edu/~kriz/{file}",), size, sha256)


_QMNIST_TEST = ("test", "test10k", "test50k")

ORIGINS: dict[str, list[Origin]] = {
    "MNIST": _idx_files(
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
    "FashionMNIST": _idx_files(
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
    "KMNIST": _idx_files(
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
    "EMNIST": [
        Origin(
            "EMNIST/raw/gzip.zip",
            ("https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip",),
            561_753_746,
            "fb9bb67e33772a9cc0b895e4ecf36d2cf35be8b709693c3564cea2a019fcda8e",
        )
    ],
    "QMNIST": [
        _qmnist("qmnist-train-images-idx3-ubyte.gz", "ed72d4157d28c017586c42bc6afe6370", "train"),
        _qmnist("qmnist-train-labels-idx2-int.gz", "0058f8dd561b90ffdd0f734c6a30e5e4", "train"),
        _qmnist(
            "qmnist-test-images-idx3-ubyte.gz", "1394631089c404de565df7b7aeaf9412", *_QMNIST_TEST
        ),
        _qmnist(
            "qmnist-test-labels-idx2-int.gz", "5b5b05890a5e13444e108efe57b788aa", *_QMNIST_TEST
        ),
        _qmnist("xnist-images-idx3-ubyte.xz", "7f124b3b8ab81486c9d8c2749c17f834", "nist"),
        _qmnist("xnist-labels-idx2-int.xz", "5ed0e788978e45d4a8bd4b7caec3d79d", "nist"),
    ],
    "USPS": [
        _usps("usps.bz2", "ec16c51db3855ca6c91edd34d0e9b197", "train"),
        _usps("usps.t.bz2", "8ea070ee2aca1ac39742fdd1ef5ed118", "test"),
    ],
    "CIFAR10": [
        _cifar(
            "cifar-10-python.tar.gz",
            170_498_071,
            "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
        )
    ],
    "CIFAR100": [
        _cifar(
            "cifar-100-python.tar.gz",
            169_001_437,
            "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
        )
    ],
    "SVHN": [
        _svhn(
            "train",
            182_040_794,
            "435e94d69a87fde4fd4d7f3dd208dfc32cb6ae8af2240d066de1df7508d083b8",
        ),
        _svhn(
            "test", 64_275_384, "cdce80dfb2a2c4c6160906d0bd7c68ec5a99d7ca4831afa54f09182025b6a75b"
        ),
        _svhn(
            "extra",
            1_329_278_602,
            "a133a4beb38a00fcdda90c9489e0c04f900b660ce8a316a5e854838379a71eb3",
        ),
    ],
    "STL10": [
        Origin(
            "stl10_binary.tar.gz",
            ("http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz",),
            2_640_397_119,
            "f31fd99273a1acb8609c8db427cebb1de3f71de77758cdc0e22956e1289b9866",
        )
    ],
}
"""All datasets that can be downloaded, by torchvision's name.

Plain http is used only for files with a SHA-256, which reveals changes.
"""
