"""A folder in which each image that a model makes lies in a file of its own."""

from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from aectl.data.images import to_pil
from aectl.files import writing
from aectl.outputs.pictures import save_png
from aectl.outputs.run_folder import refuse_filled


class SingleFiles:
    """Writes images as .png files below a folder, under the paths of those that they are made of.

    A path that leads out of the folder, or back, is taken as if it began there; two images of one
    name are told apart by a number. Raises OutputError where the folder holds something and
    `overwrite` is not set, or where a file cannot be written.
    """

    def __init__(self, folder: Path, overwrite: bool) -> None:
        refuse_filled(folder, overwrite)
        self._folder = folder
        self._made: set[Path] = set()

    def save(self, path: str, image: NDArray[np.uint8]) -> None:
        """Writes the image, (channels, height, width), that was made of the one at `path`."""
        file = self._file(path)
        with writing(file):
            file.parent.mkdir(parents=True, exist_ok=True)
        save_png(file, to_pil(image))

    def _file(self, path: str) -> Path:
        parts = [part.replace(":", "-") for part in PurePosixPath(path).parts]
        inside = [part for part in parts if part not in ("/", "//", "..")] or ["image"]
        wanted = self._folder.joinpath(*inside)
        if wanted.suffix.lower() != ".png":
            wanted = wanted.with_name(f"{wanted.name}.png")
        file, number = wanted, 2
        while file in self._made:
            file, number = wanted.with_stem(f"{wanted.stem}-{number}"), number + 1
        self._made.add(file)
        return file
