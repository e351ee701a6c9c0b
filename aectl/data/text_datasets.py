"""The datasets of text that are known by name: where they lie, and where they come from."""

import io
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from aectl.data.datasets import DOWNLOAD_TIMEOUT
from aectl.errors import DatasetUnavailableError, UnknownInputError
from aectl.files import replacing


def is_text_dataset(word: str) -> bool:
    """Whether a word, with or without a split, names a dataset of text."""
    return word.partition(":")[0] in TEXTS


def find(word: str, data_dir: Path, split: str) -> Path:
    """The file of a dataset such as `wikitext-2:valid`; `split` where the word names none.

    It is downloaded where it is not in `data_dir`. Raises UnknownInputError for a split that does
    not exist, DatasetUnavailableError where it cannot be had.
    """
    name, _, named = word.partition(":")
    dataset = TEXTS[name]
    split = named or split
    if split not in dataset.members:
        raise UnknownInputError(
            f"{name} has no split '{split}'; it has {', '.join(dataset.members)}"
        )
    path = data_dir / name / f"{split}.txt"
    if not path.is_file():
        try:
            dataset.download(data_dir / name)
        except (OSError, zipfile.BadZipFile, zlib.error, KeyError) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise DatasetUnavailableError(
                f"{name}:{split} is not in {data_dir} and cannot be downloaded ({reason});"
                " --data-dir names the folder that holds it"
            ) from error
    return path


@dataclass(frozen=True)
class TextDataset:
    """A zip archive, and which of its members is which split."""

    url: str
    members: dict[str, str]

    def download(self, folder: Path) -> None:
        """Fetches the archive, and writes each split to a file of its own.

        Raises OSError, zipfile.BadZipFile, zlib.error or KeyError.
        """
        import http.client
        import urllib.request  # takes as long as the rest of this module

        with urllib.request.urlopen(self.url, timeout=DOWNLOAD_TIMEOUT) as answer:  # noqa: S310
            try:
                archive = zipfile.ZipFile(io.BytesIO(answer.read()))
            except http.client.HTTPException as error:
                raise OSError(f"it broke off: {error}") from error
        folder.mkdir(parents=True, exist_ok=True)
        for split, member in self.members.items():
            with replacing(folder / f"{split}.txt") as temporary:
                temporary.write_bytes(archive.read(member))


TEXTS = {
    "wikitext-2": TextDataset(
        "https://wikitext.smerity.com/wikitext-2-v1.zip",
        {
            "train": "wikitext-2/wiki.train.tokens",
            "valid": "wikitext-2/wiki.valid.tokens",
            "test": "wikitext-2/wiki.test.tokens",
        },
    )
}
"""Every dataset of text by the name that users type."""
