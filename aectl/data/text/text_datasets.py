"""Datasets of text that are known by name: their files, and their origins."""

import zipfile
import zlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

from aectl.data.sources import DatasetName
from aectl.data.storage.origins import DownloadError, Origin
from aectl.errors import DatasetUnavailableError, UnknownInputError
from aectl.files import replacing

LARGEST = 64 << 20
"""Maximum bytes of a split."""

PIECE = 1 << 16


def find(word: str, data_dir: Path, split: str) -> Path:
    """The file of a dataset such as `wikitext-2:valid`; `split` if the word names none.

    It is downloaded if it is not in `data_dir`. Raises UnknownInputError for a split that does not
    exist, DatasetUnavailableError if the download fails.
    """
    name, named, _ = DatasetName.of(word)
    dataset = TEXTS[name]
    split = named or split
    if split not in dataset.members:
        raise UnknownInputError(
            f"{name} has no split '{split}'; it has {', '.join(dataset.members)}"
        )
    path = data_dir / name / f"{split}.txt"
    if not path.is_file():
        try:
            dataset.download(data_dir)
        except (OSError, DownloadError, zipfile.BadZipFile, zlib.error, KeyError) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise DatasetUnavailableError(
                f"{name}:{split} is not in {data_dir} and cannot be downloaded ({reason});"
                " --data-dir names the folder that holds it"
            ) from error
    return path


@dataclass(frozen=True)
class TextDataset:
    """A zip archive, and the member of each split."""

    origin: Origin
    members: dict[str, str]

    def download(self, data_dir: Path) -> None:
        """Fetches the archive, and writes each split to a file of its own beside it.

        Raises OSError, DownloadError, zipfile.BadZipFile, zlib.error or KeyError.
        """
        from aectl.data.storage.downloads import fetch

        path = fetch(self.origin, data_dir)
        try:
            with zipfile.ZipFile(path) as archive:
                for split, member in self.members.items():
                    with archive.open(member) as source:
                        _write(source, path.with_name(f"{split}.txt"))
        finally:
            path.unlink()


def _write(source: IO[bytes], path: Path) -> None:
    """Writes a member of an archive. Raises DownloadError if it exceeds the maximum size."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        for piece in iter(partial(source.read, PIECE), b""):
            if file.tell() + len(piece) > LARGEST:
                raise DownloadError(f"the archive holds more than {LARGEST:,} bytes of {path.name}")
            file.write(piece)


TEXTS = {
    "wikitext-2": TextDataset(
        Origin(
            "wikitext-2/wikitext-2-v1.zip",
            ("https://wikitext.smerity.com/wikitext-2-v1.zip",),
            sha256="92675f1d63015c1c8b51f1656a52d5bdbc33aafa60cc47a218a66e7ee817488c",
        ),
        {
            "train": "wikitext-2/wiki.train.tokens",
            "valid": "wikitext-2/wiki.valid.tokens",
            "test": "wikitext-2/wiki.test.tokens",
        },
    )
}
"""Every dataset of text by the name that users type."""
