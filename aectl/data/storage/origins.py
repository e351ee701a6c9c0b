"""Origins of files to download, with sizes and digests that identify the right files."""

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


def at(
    folder_url: str,
    file: str,
    *splits: str,
    size: int | None = None,
    sha256: str | None = None,
    md5: str | None = None,
    folder: str = "",
) -> Origin:
    """A file at an address that ends in its name; it goes to a `folder` of the data folder."""
    return Origin(folder + file, (folder_url + file,), size, sha256, md5, splits)


def files_like_mnist(
    folder: str, mirrors: tuple[str, ...], rows: dict[str, tuple[int, str]]
) -> list[Origin]:
    """The four files of a set in the layout of MNIST: the size and the SHA-256 of each."""
    return [
        Origin(f"{folder}/raw/{file}.gz", tuple(f"{one}{file}.gz" for one in mirrors), size, digest)
        for file, (size, digest) in rows.items()
    ]
