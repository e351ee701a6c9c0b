"""`aectl reconstruct`: images beside their reconstructions, and images decoded from codes."""

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aectl.cli import options
from aectl.cli.session import Session, load_autoencoder
from aectl.cli.stdout import for_tables, show, show_path
from aectl.config.kinds import with_a_code
from aectl.config.spelling import spelt_out
from aectl.errors import ConfigError, DataError, OutputError
from aectl.files import refuse_existing

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    from aectl.data.inputs import InputBatch
    from aectl.inference.apply import Reconstructed
    from aectl.models.model_file import ModelCard
    from aectl.outputs.single_files import SingleFiles
    from aectl.verbs.use import Use

PICTURED, WALKED = 40, 5
PICTURED_BYTES = 1 << 26
"""Maximum number, and bytes, of the images in a picture if --count is not given."""
RANGED = 1000
DEFAULT_OUT = Path("reconstructions.png")
TITLE = "original above, reconstruction below, and the mean squared error"
WALKS = ("--interpolate", "--traverse", "--from-codes")
OTHER = "Instead of images beside their reconstructions"


@options.with_common_options
def reconstruct(
    common: options.Common,
    model: options.Model,
    inputs: options.Input = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            help="File of the picture (.png); for text, of a table.",
            show_default=str(DEFAULT_OUT),
        ),
    ] = None,
    count: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Number of images, or lines of text, to show.",
            min=1,
            max=1000,
            show_default="40, fewer for large images; 5 with --traverse; all with --each, or text",
        ),
    ] = None,
    separate: Annotated[
        bool,
        typer.Option(
            "--separate", help="Write two pictures, -inputs.png and -outputs.png, instead of one."
        ),
    ] = False,
    each: Annotated[
        Path | None,
        typer.Option(
            "--each",
            metavar="DIR",
            help="Write each reconstruction to this folder as a separate .png file in the model's "
            "size, named by the path of its image.",
        ),
    ] = None,
    interpolate: Annotated[
        tuple[str, str] | None,
        typer.Option(
            metavar="A B",
            rich_help_panel=OTHER,
            show_default=False,
            help="Decode codes on the line from the code of one image to that of another; each is "
            "a file, or an image of a dataset, such as mnist:test/17.",
        ),
    ] = None,
    traverse: Annotated[
        int | None,
        typer.Option(
            metavar="UNIT",
            min=0,
            rich_help_panel=OTHER,
            show_default=False,
            help="Decode codes in which this unit, counted from 0, varies from its minimum to its "
            "maximum over the images.",
        ),
    ] = None,
    steps: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=2,
            max=100,
            rich_help_panel=OTHER,
            help="With --interpolate and --traverse: number of decoded images.",
        ),
    ] = 10,
    from_codes: Annotated[
        Path | None,
        typer.Option(
            "--from-codes",
            metavar="FILE",
            rich_help_panel=OTHER,
            help="Decode the codes in a table written by aectl encode; - is CSV on stdin.",
        ),
    ] = None,
) -> int:
    """Draw images above their reconstructions, and print the picture's path.

    For a model of text, print each line, the shorter text of the bottleneck, if any, and the
    reconstruction.

    Example: aectl reconstruct runs/mnist-autoencoder-1 mnist:test --count 20 --out grid.png
    """  # fmt: skip
    _check([interpolate, traverse, from_codes], bool(inputs), separate, each)
    from aectl.verbs.use import read_card

    card = read_card(model, "reconstruct", with_a_code())
    session = Session(common, out)
    found = session.use(model, card, inputs)
    found.refuse({
        "separate": separate,
        "each": each is not None,
        "interpolate": interpolate is not None,
        "traverse": traverse is not None,
        "from_codes": from_codes is not None,
    })  # fmt: skip
    if not found.modality.pictured:
        return _write_rows(session, found, out, count)
    if out is None and each is None:
        out = DEFAULT_OUT
    for path in _pictures(out, separate):
        if path.suffix.lower() != ".png":
            raise OutputError(f"{path}: the picture must be a .png file")
        refuse_existing(path, common.overwrite)
    use = _Use(session, model, card, each)
    if interpolate is not None:
        made = use.interpolated(interpolate, steps)
    elif traverse is not None:
        made = use.traversed(inputs, traverse, steps, count or WALKED)
    elif from_codes is not None:
        made = use.decoded(from_codes, count, pictured=out is not None)
    else:
        made = use.reconstructed(inputs, count, pictured=out is not None, separate=separate)
    _save(_pictures(out, separate), made.pictures)
    if each is not None:
        show_path(each)
    return session.outcome.status(made.images)


@dataclass(frozen=True)
class Made:
    """The number of images that were read, and the pictures drawn."""

    images: int
    pictures: "list[Image]"


@dataclass(frozen=True)
class _Use:
    """The uses of a model that the options select; `each` is a folder for single images."""

    session: Session
    model: Path
    card: "ModelCard"
    each: Path | None

    def reconstructed(
        self, words: list[str] | None, count: int | None, pictured: bool, separate: bool
    ) -> Made:
        """Images beside their reconstructions."""
        from aectl.outputs.single_files import SingleFiles
        from aectl.verbs.reconstruct import Reconstruction

        most = count or self._pictured
        wanted = count or (None if self.each else most)
        shown = _Shown(most if pictured else 0)
        files = SingleFiles(self.each, self.session.common.overwrite) if self.each else None
        use = self.session.use(self.model, self.card, words)
        good = 0
        reconstruction = Reconstruction(use, wanted)
        with use.results(reconstruction.compute, most=wanted) as results:
            for batch, made in self.session.console.counted(results, "reconstructing"):
                shown.add(batch, made)
                good += self._saved(files, batch.paths, made)
        return Made(good, shown.pictures(separate) if pictured and good else [])

    @property
    def _pictured(self) -> int:
        """How many images a picture shows by default."""
        return max(1, min(PICTURED, PICTURED_BYTES // math.prod(self.card.shape)))

    def interpolated(self, ends: tuple[str, str], steps: int) -> Made:
        """One row of images decoded between the codes of two images."""
        import numpy as np

        from aectl.data.images.decode import to_bytes
        from aectl.inference import apply as inference
        from aectl.outputs import pictures

        found = np.concatenate([self._single(word) for word in ends])
        network = load_autoencoder(self.model)
        made = to_bytes(inference.interpolate(network, found, steps))
        captions = ["A", *(f"{share:.3g}" for share in np.linspace(0, 1, steps)), "B"]
        a, b = (spelt_out(word) for word in ends)
        title = f"from A ({a}) to B ({b}): images decoded from the codes in between"
        row = np.concatenate([found[:1], made, found[1:]])
        return Made(2, [pictures.image_grid(row, captions, title, len(row))])

    def traversed(self, words: list[str] | None, unit: int, steps: int, rows: int) -> Made:
        """One row per image, decoded with other values of one unit of its code."""
        import numpy as np

        from aectl.data.images.decode import to_bytes
        from aectl.inference import apply as inference
        from aectl.outputs import pictures

        units = self.card.architecture.code_size
        if unit >= units:
            raise ConfigError(f"--traverse is {unit}; the code's units are 0 to {units - 1}")
        found = self._some(words, RANGED)
        if not len(found):
            return Made(0, [])
        network = load_autoencoder(self.model)
        own = inference.codes_of(network, found)[:, unit]
        values = np.linspace(own.min(), own.max(), steps, dtype=np.float32)
        shown = found[:rows]
        made = to_bytes(inference.traverse(network, shown, unit, values))
        made = made.reshape(len(shown), steps, *shown.shape[1:])
        row = np.concatenate([shown[:, None], made], axis=1).reshape(-1, *shown.shape[1:])
        captions = ["image", *(f"{value:.3g}" for value in values)] * len(shown)
        title = (
            f"unit {unit} from its minimum to its maximum over {len(found):,} images, all other"
            " units unchanged"
        )
        return Made(len(found), [pictures.image_grid(row, captions, title, steps + 1)])

    def decoded(self, path: Path, count: int | None, pictured: bool) -> Made:
        """Images decoded from the codes of a table."""
        import numpy as np

        from aectl.data.codes.code_tables import read_codes

        stdin = None if sys.stdin is None else sys.stdin.buffer
        codes = read_codes(path, stdin, self.card.architecture.code_size)

        from aectl.data.images.decode import to_bytes
        from aectl.inference import apply as inference
        from aectl.outputs import pictures
        from aectl.outputs.single_files import SingleFiles

        network = load_autoencoder(self.model)
        files = SingleFiles(self.each, self.session.common.overwrite) if self.each else None
        shown_at_most = count or self._pictured
        most = count or (None if files else shown_at_most)
        good, shown, names = 0, [], list[str]()
        at_once = 1 if network.one_at_a_time else inference.PART
        for first in range(0, min(most or len(codes), len(codes)), at_once):
            part = slice(first, min(first + at_once, most or len(codes)))
            made = inference.decode_codes(network, codes.part(part))
            finite = self._finite(codes.names[part], made)
            some = [codes.names[part][n] for n in finite]
            good += self._saved(files, some, made[finite])
            if pictured and len(names) < shown_at_most:
                shown.append(made[finite])
                names += some
        if not pictured or not good:
            return Made(good, [])
        kept = slice(shown_at_most)
        images = to_bytes(np.concatenate(shown)[kept])
        return Made(good, [pictures.image_grid(images, _captions(names[kept]))])

    def _finite(self, paths: Sequence[str], made: "NDArray[np.float32]") -> list[int]:
        """The indices of the images whose pixels are all finite; others are left out."""
        import numpy as np

        from aectl.outputs.tables import NOT_FINITE

        sound = np.isfinite(made).all((1, 2, 3))
        for number in np.flatnonzero(~sound).tolist():
            self.session.outcome.on_bad(paths[number], NOT_FINITE)
        return [int(number) for number in np.flatnonzero(sound)]

    def _saved(
        self, files: "SingleFiles | None", paths: list[str], made: "NDArray[np.float32]"
    ) -> int:
        """Writes the images to `files`, if any; returns how many were written, or all."""
        from aectl.data.images.decode import to_bytes

        if files is None:
            return len(paths)
        good = 0
        for path, image in zip(paths, made, strict=True):
            try:
                files.save(path, to_bytes(image))
                good += 1
            except DataError as error:
                self.session.outcome.on_bad(path, str(error))
        return good

    def _some(self, words: list[str] | None, most: int) -> "NDArray[np.uint8]":
        """The first images of the inputs: (n, channels, height, width)."""
        import numpy as np

        use = self.session.use(self.model, self.card, words)
        parts: list[NDArray[np.uint8]] = [np.empty((0, *self.card.shape), np.uint8)]
        with use.stream.batches(most=most) as batches:
            for batch in batches:
                parts.append(batch.images)
                if sum(map(len, parts)) >= most:
                    break
        return np.concatenate(parts)[:most]

    def _single(self, word: str) -> "NDArray[np.uint8]":
        """The single image that a word names: (1, channels, height, width)."""
        found = self._some([word], 2)
        if len(found) != 1:
            several = "more than one image" if len(found) else "no image that can be read"
            raise DataError(f"--interpolate goes from one image to another; {word} is {several}")
        return found


def _write_rows(session: Session, use: "Use", out: Path | None, count: int | None) -> int:
    """Writes each input and its reconstruction: as text on a terminal, elsewhere as a table."""
    from aectl.outputs import text_rows as texts
    from aectl.outputs.formats import Rows
    from aectl.outputs.tables import Table, check_destination
    from aectl.verbs.reconstruct import Reconstruction

    check_destination(out, session.common.overwrite)
    seen, modality, reconstruction = 0, use.modality, Reconstruction(use, count)
    with use.results(reconstruction.compute, most=count) as results:
        if out is None and sys.stdout.isatty():
            for result in results:
                show(("\n" if seen else "") + texts.to_text(modality.shown(result)))
                seen += len(result.batch.paths)
        else:
            with Table(out, for_tables()) as table:
                for result in session.console.counted(results, "reconstructing", modality.noun):
                    table.write(Rows(modality.shown(result)))
                seen = table.count
    return session.status(use, seen)


class _Shown:
    """Collects the images of a picture."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._batches: list[Reconstructed] = []

    def add(self, batch: "InputBatch", reconstructions: "NDArray[np.float32]") -> None:
        if sum(len(shown.batch.paths) for shown in self._batches) < self._most:
            from aectl.inference.apply import Reconstructed

            self._batches.append(Reconstructed(batch, reconstructions))

    def pictures(self, separate: bool) -> "list[Image]":
        """A single picture, or one of the originals and one of the reconstructions."""
        import numpy as np

        from aectl.data.images.decode import to_bytes
        from aectl.outputs import pictures

        originals = np.concatenate([shown.batch.images for shown in self._batches])[: self._most]
        made = np.concatenate([shown.reconstruction for shown in self._batches])[: self._most]
        paths = [path for shown in self._batches for path in shown.batch.paths][: self._most]
        labels = [label for shown in self._batches for label in shown.batch.labels]
        names = [
            name if label is None else spelt_out(label)
            for name, label in zip(_captions(paths), labels, strict=False)
        ]
        errors = pictures.errors(originals, made)
        captions = [f"{name}\n{error}" for name, error in zip(names, errors, strict=True)]
        if separate:
            return [
                pictures.image_grid(originals, names),
                pictures.image_grid(to_bytes(made), captions),
            ]
        return [pictures.reconstruction_grid(originals, made, captions, TITLE)]


def _captions(paths: Sequence[str]) -> list[str]:
    """Captions of images: as much of their paths as is needed to distinguish them."""
    from aectl.outputs.captions import distinguished

    return [spelt_out(name) for name in distinguished(paths)]


def _check(walks: list[object], inputs: bool, separate: bool, each: Path | None) -> None:
    """Raises ConfigError for options that cannot be combined."""
    given = [name for name, value in zip(WALKS, walks, strict=True) if value is not None]
    if len(given) > 1:
        raise ConfigError(f"give one of {', '.join(WALKS)}; {' and '.join(given)} given")
    if not given:
        return
    if separate:
        raise ConfigError(f"--separate cannot go with {given[0]}, which has no inputs to show")
    if each is not None and given[0] != "--from-codes":
        raise ConfigError(f"--each cannot go with {given[0]}")
    if inputs and given[0] != "--traverse":
        raise ConfigError(f"{given[0]} itself names what is decoded; leave out INPUT")


def _pictures(out: Path | None, separate: bool) -> list[Path]:
    """The files that pictures are written to."""
    if out is None:
        return []
    if separate:
        return [out.with_stem(f"{out.stem}-{which}") for which in ("inputs", "outputs")]
    return [out]


def _save(paths: list[Path], pictures: "list[Image]") -> None:
    from aectl.outputs.pictures import save_png

    for path, picture in zip(paths, pictures, strict=False):
        save_png(path, picture)
        show_path(path)
