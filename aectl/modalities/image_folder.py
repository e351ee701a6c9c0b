"""The pictures and the report page in the run folder of a model of images."""

import contextlib
import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from aectl.config import run_files
from aectl.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    from aectl.config.shapes import Shape
    from aectl.data.images.image_set import ImageSet
    from aectl.models.architecture import Architecture
    from aectl.models.model_card import ModelCard
    from aectl.models.networks import ImageNetwork
    from aectl.outputs.tensorboard import TensorBoard
    from aectl.training.image_run import ImageRun

PICTURED, PROJECTED = 40, 1000
SAMPLED = 10_000
SAMPLED_BYTES = 1 << 28
MOST_MEASURED = 10_000
FEWEST = 400
BATCH = 1000
FEWEST_LARGE = 4
ROOM_MEASURED, ROOM_SHOWN = 1 << 31, 1 << 30
"""Maximum bytes of the activations of all images that are measured, and of those of a picture: a
processor takes about ten seconds for 1 GiB of a convolutional network."""


def fill(
    folder: Path,
    run: "ImageRun",
    card: "ModelCard",
    data_dir: Path,
    logs: "TensorBoard | None",
) -> None:
    """Writes the pictures and the report of a trained model, and logs them, if that is wanted."""
    from aectl.outputs import run_folder

    view = _View.of(run)
    drawn = _draw(folder, run, view)
    page = report(run, view, card, folder.resolve().name, data_dir)
    run_folder.save_text(folder / run_files.REPORT, page)
    if logs:
        logs.pictures(drawn, len(run.rows))
        _log_codes(view, run, logs)


@dataclass(frozen=True)
class _View:
    """A trained network with its images, as a run folder shows them, and as they are measured after
    each epoch: the middle of large images where crops are trained on."""

    network: "ImageNetwork"
    architecture: "Architecture"
    images: "ImageSet"
    whole: "Shape"

    @classmethod
    def of(cls, run: "ImageRun") -> "_View":
        """The view of a run; its `images` are those of the training set."""
        network, images = run.sketch.measured_network(run.network), run.data
        middle = images.middle(run.sketch.middle)
        architecture = dataclasses.replace(run.architecture, input=middle.shape)
        return cls(network, architecture, middle, images.shape)

    def some(self, images: "ImageSet", most: int, room: int) -> "ImageSet":
        """At most so many of some images, but few of those that need more than `room` bytes."""
        from aectl.models import footprint

        few = max(FEWEST_LARGE, footprint.fitting(self.architecture, most, room))
        return images.evenly_spaced(min(few, _most(most, self.network)))

    def unseen(self, run: "ImageRun", data_dir: Path) -> "tuple[ImageSet, str]":
        """Some of the test split of a dataset, else of the held-out images, else of the training
        images, and their description."""
        from aectl.data.images import datasets
        from aectl.data.inputs import IMAGES
        from aectl.data.sources import DatasetName

        words, images = run.config.data.dataset, self.images
        found, named = images, f"{' '.join(words)}, on which it was trained"
        if len(run.held_out):
            found = images.part(run.held_out)
            named = f"{' '.join(words)}, held out from training"
        if len(words) == 1 and IMAGES.has(words[0]):
            with contextlib.suppress(DataError):
                found = datasets.load(DatasetName.of(words[0]).name, data_dir, download=False)
                named = found.name
        some = self.some(found, MOST_MEASURED, ROOM_MEASURED)
        if len(some) < len(found):
            named += f" ({len(found):,} in all)"
        if some.shape != images.shape:
            some = some.fitted(self.whole).middle(images.shape[1:])
        if images.shape != self.whole:
            height, width = images.shape[1:]
            named += (
                f", of each the middle {height}x{width} pixels (aectl eval measures whole images)"
            )
        return some, named


def report(run: "ImageRun", view: _View, card: "ModelCard", name: str, data_dir: Path) -> str:
    """The page of a finished run, measured on images that it was not trained on, if any."""
    from aectl.data.images.image_batches import in_memory
    from aectl.inference import apply as inference
    from aectl.inference.inspection import Inspection
    from aectl.modalities import modality_of
    from aectl.modalities.measurement import Measurement
    from aectl.modalities.portraits import portrait
    from aectl.models import footprint
    from aectl.outputs import page

    images, named = view.unseen(run, data_dir)
    if run.errors:
        named += f"; {run.errors.described(run.noun)}"
    measurement = Measurement(card, modality_of(card))
    inspection = Inspection(view.network, card.classes)
    to_tensor = inference.on_device(view.network, run.device)
    described = view.architecture
    most = 1 if footprint.one_at_a_time(described) else footprint.fitting(described, BATCH)
    batches = in_memory(images, min(most, len(images)))
    for measured in measurement.results(view.network, batches, to_tensor):
        inspection.add(measured)
    return page.to_html(name, [portrait(name, named, measurement, inspection, run.rows)])


def _log_codes(view: _View, run: "ImageRun", logs: "TensorBoard") -> None:
    """Puts the codes of some images into the logs; a classifier has none."""
    from aectl.inference import arrays
    from aectl.models.networks import Classifier

    if isinstance(view.network, Classifier):
        return
    shown = view.some(view.images, PROJECTED, ROOM_MEASURED)
    names = [shown.label(row) or shown.path(row) for row in range(len(shown))]
    codes = arrays.codes_of(view.network, shown.images)
    logs.codes(codes, shown.images, names, len(run.rows))


def _draw(folder: Path, run: "ImageRun", view: _View) -> "dict[str, Image]":
    """Draws the filters and, for an autoencoder, reconstructions, of what is held out if anything
    is; by name."""
    from aectl.inference import arrays
    from aectl.inference.filters import filters_of
    from aectl.models.networks import Classifier
    from aectl.outputs import pictures

    network, images = view.network, view.images
    few_enough = max(PICTURED, SAMPLED_BYTES // math.prod(images.shape))
    sample = view.some(images, min(SAMPLED, few_enough), ROOM_SHOWN).images
    filters = filters_of(network, sample, pictures.MOST_FILTERS, pictures.LARGEST_SIDE)
    dead, title = None, f"filters of {len(filters):,} units of the first layer"
    if not isinstance(network, Classifier):
        dead = arrays.dead_units(network, sample)
        title = _caption(len(filters), dead, network.draws)
    drawn = {"filters": pictures.filter_grid(filters, dead, title)}
    if not isinstance(network, Classifier) and network.gives_images:
        whose = "held-out" if len(run.held_out) else "training"
        of = images.part(run.held_out) if len(run.held_out) else images
        shown = view.some(of, PICTURED, ROOM_SHOWN)
        made = arrays.reconstruct_images(network, shown.images)
        part = "" if images.shape == view.whole else "the middle of "
        title = (
            f"{part}{len(shown)} of the {whose} images, each above its reconstruction and its mse"
        )
        errors = pictures.errors(shown.images, made)
        grid = pictures.reconstruction_grid(shown.images, made, errors, title)
        drawn["reconstructions"] = grid
    else:
        (folder / run_files.PICTURES).unlink(missing_ok=True)  # of an earlier run
    for name, picture in drawn.items():
        pictures.save_png(folder / f"{name}.png", picture)
    return drawn


def _most(images: int, network: "ImageNetwork") -> int:
    """As many images, or fewer of those that have many codes each."""
    return max(images // network.codes_per_image, min(images, FEWEST))


def _caption(shown: int, dead: "NDArray[np.bool_]", draws: bool) -> str:
    """The caption of the picture of filters, which units draw or respond to; `dead` is of all
    units, (units,)."""
    some = (
        f"the first {shown:,} of {len(dead):,} units" if shown < len(dead) else f"{shown:,} units"
    )
    crossed = f"; {dead.sum():,} dead, crossed out" if dead.any() else ""
    what = f"what {some} of the code draw" if draws else f"filters of {some} of the code"
    return f"{what}{crossed}"
