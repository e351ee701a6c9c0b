"""Patches of photographs as a dataset, made as in the exercise of the CS294A lecture notes."""

import dataclasses
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aectl.config.decoding import USUAL_DECODING, Decoding, OnRemark, Remark
from aectl.data.images.decode import decode_bytes, native_shape, read, unchecked_by_pillow
from aectl.data.images.image_set import ImageSet
from aectl.data.images.pixels import Pixels
from aectl.data.selection import EVERY_IMAGE, Selection, Skipped
from aectl.data.storage.folders import OnBad, find_files, ignore
from aectl.errors import DataError, ImageError, UnknownInputError

WHITENED = {"patches": True, "raw-patches": False}
"""Prefixes of a folder, and whether its images are whitened."""

SIDES = (8, 8)
COUNT = 10_000
LARGEST_SIDE = 512
CUT_OFF = 0.4
DEVIATIONS = 3
LOW, HIGH = 0.1, 0.9


def load(
    word: str,
    on_bad: OnBad,
    sides: tuple[int, int] = SIDES,
    count: int = COUNT,
    split: str = "test",
    decoding: Decoding = USUAL_DECODING,
    on_remark: OnRemark = ignore,
    selection: Selection = EVERY_IMAGE,
    skipped: Skipped | None = None,
) -> ImageSet:
    """Draws `count` grey patches of (height, width) pixels at random from a folder's images.

    All images are equally probable, and so are all places in an image; images with a side longer
    than 512 pixels are reduced before. The splits are drawn with different, fixed seeds. `patches`
    are whitened and scaled (`rescaled`), `raw-patches` unchanged. `on_bad` is called for images
    that cannot be read or are smaller than a patch; `on_remark` with remarks on the others.

    Raises DataError if there are no images to draw from.
    """
    kind, _, folder = word.partition(":")
    whiten = WHITENED[kind]
    skipped = skipped or Skipped()
    found = _scenes(folder, sides, on_bad, decoding, on_remark, selection, skipped)
    scenes = [whitened(scene / 255) if whiten else scene for scene in found]
    if not scenes:
        nothing = f"no images in {folder} from which to cut patches"
        raise DataError("\n".join([nothing, *skipped.notices()]))
    generator = np.random.default_rng(("train", "test").index(split))
    patches = np.stack([_patch(scenes, sides, generator) for _ in range(count)])
    pixels = (255 * rescaled(patches)).round().astype(np.uint8) if whiten else patches
    return ImageSet(word, pixels[:, None])


def drawn(
    images: Pixels, rows: NDArray[np.int64], sides: tuple[int, int], count: int, seed: int
) -> Pixels:
    """Draws `count` patches of (height, width) pixels at random places of some `rows` of images.

    images: (n, channels, height, width) -> (count, channels, height, width) of a patch.
    """
    generator = np.random.default_rng(seed)
    windows = np.lib.stride_tricks.sliding_window_view(images, sides, axis=(2, 3))
    down, across = windows.shape[2:4]
    of = rows[generator.integers(len(rows), size=count)]
    top, left = generator.integers(down, size=count), generator.integers(across, size=count)
    return windows[of, :, top, left]


def whitened(image: NDArray[np.floating]) -> NDArray[np.float64]:
    """Whitens an image, (height, width): flattens the typical spectrum of natural images.

    Amplitudes are multiplied by f exp(-(f / 0.4)^4), f in cycles per pixel: a spectrum that falls
    as 1/f becomes flat, and its corners, which are mostly noise, are removed (Olshausen & Field
    1997, Methods).
    """
    down, across = (np.fft.fftfreq(side) for side in image.shape)
    f = np.hypot(down[:, None], across)
    spectrum = np.fft.fft2(image) * f * np.exp(-((f / CUT_OFF) ** 4))
    return np.real(np.fft.ifft2(spectrum))


def rescaled(patches: NDArray[np.floating]) -> NDArray[np.floating]:
    """Scales patches, (n, height, width), to [0.1, 0.9], inside the range of a sigmoid.

    The mean of each patch is subtracted, values are clipped at three standard deviations of all
    patches, and that range is scaled (exercise of the CS294A notes, `normalizeData`).
    """
    centred = patches - patches.mean((1, 2), keepdims=True)
    limit = DEVIATIONS * centred.std() or 1.0
    unit = centred.clip(-limit, limit) / limit
    scaled: NDArray[np.floating] = LOW + (HIGH - LOW) * (unit + 1) / 2
    return scaled


def _scenes(
    folder: str,
    sides: tuple[int, int],
    on_bad: OnBad,
    decoding: Decoding,
    on_remark: OnRemark,
    selection: Selection,
    skipped: Skipped,
) -> list[Pixels]:
    """The usable images of a folder in grey, (height, width) each."""
    if not os.path.isdir(folder):
        raise UnknownInputError(f"no folder '{folder}' to cut patches from")
    scenes = []
    for one in find_files(folder, dataclasses.replace(selection, contained=False), skipped):
        if one.reason is not None:
            on_bad(one.path, one.reason)
            continue
        try:
            _, height, width = native_shape(one.path, decoding)
            scale = min(1.0, LARGEST_SIDE / max(height, width))
            height, width = round(scale * height), round(scale * width)
            if height < sides[0] or width < sides[1]:
                raise ImageError(f"has {height}x{width} pixels, fewer than a patch")
            with unchecked_by_pillow():
                image = decode_bytes(read(one.path, decoding), (1, height, width), decoding)
            if Remark.OWN in image.remarks and not selection.include:
                skipped.own(one.path)
                continue
        except ImageError as error:
            on_bad(one.path, str(error))
            continue
        scenes.append(image.pixels[0])
        for remark in image.remarks:
            if remark is not Remark.OWN:
                on_remark(one.path, remark)
    return scenes


def _patch(
    scenes: list[NDArray[Any]], sides: tuple[int, int], generator: np.random.Generator
) -> NDArray[Any]:
    scene = scenes[generator.integers(len(scenes))]
    top, left = (
        generator.integers(room - side + 1) for room, side in zip(scene.shape, sides, strict=True)
    )
    return scene[top : top + sides[0], left : left + sides[1]]
