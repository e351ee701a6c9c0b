"""A folder with one image file per output of a model."""

import errno
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aectl.data.images.pixels import to_pil
from aectl.data.storage.folders import OnBad
from aectl.errors import DataError, OutputError
from aectl.files import writing
from aectl.outputs.pictures import save_png
from aectl.outputs.run_folder import refuse_filled

OF_THE_NAME = (errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.EILSEQ,
               errno.EINVAL)  # fmt: skip
"""System errors that are caused by the name of a file, so that other files can be written."""


class SingleFiles:
    """Writes images as .png files below a folder, named by the paths of their inputs.

    A path that is absolute or leads out of the folder is taken as relative to it; a number
    distinguishes images with the same name. Raises OutputError if the folder is not empty and
    `overwrite` is not set, or if a file cannot be written.
    """

    def __init__(self, folder: Path, overwrite: bool) -> None:
        refuse_filled(folder, overwrite)
        self._folder = folder
        self._made: set[Path] = set()
        self._numbers: Counter[Path] = Counter()

    def save(self, path: str, image: NDArray[np.uint8] | NDArray[np.uint16]) -> None:
        """Writes an image, (channels, height, width), where one of 16 bits is grey; `path`: the
        path of its input.

        Raises DataError if a file cannot have such a name.
        """
        if "\0" in path:
            raise DataError("a file name cannot contain a zero byte")
        file = self._file(path)
        try:
            if file.is_dir():
                raise DataError(f"{file} is already a folder")
            with writing(file):
                file.parent.mkdir(parents=True, exist_ok=True)
            save_png(file, to_pil(image))
        except (OSError, OutputError) as error:
            cause = error.__cause__ if isinstance(error, OutputError) else error
            if isinstance(cause, OSError) and cause.errno in OF_THE_NAME:
                raise DataError(f"cannot write {file}: {cause.strerror}") from None
            raise
        self._made.add(file)

    def save_all(self, paths: Sequence[str], images: Iterable[NDArray[Any]], on_bad: OnBad) -> int:
        """Writes images, (n, channels, height, width); returns how many were written.

        Those whose files cannot have such names are passed to `on_bad`.
        """
        written = 0
        for path, image in zip(paths, images, strict=True):
            try:
                self.save(path, image)
                written += 1
            except DataError as error:
                on_bad(path, str(error))
        return written

    def _file(self, path: str) -> Path:
        parts = [part.replace(":", "-") for part in PurePosixPath(path).parts]
        inside = [part for part in parts if part not in ("/", "//", "..")] or ["image"]
        wanted = self._folder.joinpath(*inside)
        if wanted.suffix.lower() != ".png":
            wanted = wanted.with_name(f"{wanted.name}.png")
        file = wanted
        while file in self._made:
            self._numbers[wanted] += 1
            file = wanted.with_stem(f"{wanted.stem}-{self._numbers[wanted] + 1}")
        return file
