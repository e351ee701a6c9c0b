"""`aectl reconstruct`: images beside their reconstructions, and images decoded from codes."""

import contextlib
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aectl.cli import options
from aectl.cli.session import Session
from aectl.cli.stdout import for_tables, show, show_path
from aectl.config.kinds import with_a_code
from aectl.errors import ConfigError, OutputError
from aectl.files import refuse_existing

if TYPE_CHECKING:
    from PIL.Image import Image

    from aectl.verbs.latent import Grid
    from aectl.verbs.use import Use

PICTURED, TRAVERSED = 40, 5
PICTURED_BYTES = 1 << 26
"""Maximum number, and bytes, of the images in a picture if --count is not given."""

DEFAULT_OUT = Path("reconstructions.png")
FROM_CODES = ("--interpolate", "--traverse", "--from-codes")
OTHER = "Instead of images beside their reconstructions"

Out = Annotated[
    Path | None,
    typer.Option(
        "--out", "-o", metavar="FILE", parser=options.path_or_url,
        help="File of the picture (.png); for text and vectors, of a table.",
        show_default=str(DEFAULT_OUT),
    ),
]  # fmt: skip
Count = Annotated[
    int | None,
    typer.Option(
        metavar="N", min=1, max=1000,
        help="Number of images, or lines of text, to show.",
        show_default="40, fewer for large images; 5 with --traverse; all with --each, or text",
    ),
]  # fmt: skip
Separate = Annotated[
    bool,
    typer.Option(
        "--separate", help="Write two pictures, -inputs.png and -outputs.png, instead of one."
    ),
]
Each = Annotated[
    Path | None,
    typer.Option(
        "--each", metavar="DIR",
        help="Write each reconstruction to this folder as a separate .png file in the model's "
        "size, named by the path of its image.",
    ),
]  # fmt: skip
Interpolate = Annotated[
    tuple[str, str] | None,
    typer.Option(
        metavar="A B", show_default=False, rich_help_panel=OTHER,
        help="Decode codes on the line from the code of one image to that of another; each is "
        "a file, or an image of a dataset, such as mnist:test/17.",
    ),
]  # fmt: skip
Traverse = Annotated[
    int | None,
    typer.Option(
        metavar="UNIT", min=0, show_default=False, rich_help_panel=OTHER,
        help="Decode codes in which this unit, counted from 0, varies from its minimum to its "
        "maximum over the images.",
    ),
]  # fmt: skip
Steps = Annotated[
    int,
    typer.Option(
        metavar="N", min=2, max=100, rich_help_panel=OTHER,
        help="With --interpolate and --traverse: number of decoded images.",
    ),
]  # fmt: skip
FromCodes = Annotated[
    Path | None,
    typer.Option(
        "--from-codes", metavar="FILE", rich_help_panel=OTHER,
        help="Decode the codes in a table written by aectl encode; - is CSV on stdin.",
    ),
]  # fmt: skip


@options.with_common_options
def reconstruct(
    common: options.Common,
    model: options.Model,
    inputs: options.Input = None,
    out: Out = None,
    count: Count = None,
    separate: Separate = False,
    each: Each = None,
    interpolate: Interpolate = None,
    traverse: Traverse = None,
    steps: Steps = 10,
    from_codes: FromCodes = None,
) -> int:
    """Draw images above their reconstructions, and print the picture's path.

    For a model of text, print each line, the shorter text of the bottleneck, if any, and the
    reconstruction. For one of vectors, write a table of reconstructions.

    Example: aectl reconstruct runs/mnist-autoencoder-1 mnist:test --count 20 --out grid.png
    """  # fmt: skip
    _check([interpolate, traverse, from_codes], bool(inputs), separate, each)
    from aectl.verbs import latent
    from aectl.verbs.use import use_of

    session = Session(common, out)
    use = use_of(
        model, "reconstruct", with_a_code(), inputs, session.input_options(), common.device,
        common.threads,
    )  # fmt: skip
    use.refuse(
        {
            "separate": separate,
            "each": each is not None,
            "interpolate": interpolate is not None,
            "traverse": traverse is not None,
            "from_codes": from_codes is not None,
        }
    )
    if not use.modality.pictured:
        return _write_rows(session, use, out, count, from_codes)
    paths = _pictures(out or (None if each else DEFAULT_OUT), separate, common.overwrite)
    if interpolate is not None:
        return _save_grid(session, paths, latent.interpolated(use, interpolate, steps))
    if traverse is not None:
        grid = latent.traversed(use, traverse, steps, count or TRAVERSED)
        return _save_grid(session, paths, grid)
    return _save_results(session, use, paths, each, count, from_codes)


def _save_grid(session: Session, paths: list[Path], grid: "Grid") -> int:
    """Draws images that were decoded; returns the exit status."""
    from aectl.outputs.pictures import image_grid

    if grid.read:
        _save(paths, [image_grid(grid.images, grid.captions, grid.title, grid.columns)])
    return session.outcome.status(grid.read)


def _save_results(
    session: Session,
    use: "Use",
    paths: list[Path],
    each: Path | None,
    count: int | None,
    from_codes: Path | None,
) -> int:
    """Draws the first images, writes each to the folder `each`, if any; returns the exit status."""
    from aectl.data.images.pixels import to_bytes
    from aectl.outputs.reconstructions import Reconstructions
    from aectl.outputs.single_files import SingleFiles

    pictured = count or max(1, min(PICTURED, PICTURED_BYTES // math.prod(use.card.shape)))
    shown, read = Reconstructions(pictured if paths else 0), 0
    files = SingleFiles(each, session.common.overwrite) if each else None
    with _results(use, count or (None if each else pictured), from_codes) as results:
        for result in session.console.counted(results, "reconstructing"):
            shown.add(result)
            if files is None:
                read += len(result.paths)
            else:
                images = to_bytes(result.reconstruction)
                read += files.save_all(result.paths, images, session.outcome.on_bad)
    if read:
        _save(paths, shown.drawn(separate=len(paths) > 1))
    if each is not None:
        show_path(each)
    return session.outcome.status(read)


def _results(
    use: "Use", most: int | None, from_codes: Path | None
) -> "contextlib.AbstractContextManager[Iterator[Any]]":
    """The reconstructions of the inputs, or the images that the codes of a table decode to."""
    if from_codes is None:
        from aectl.verbs.reconstruct import Reconstruction

        return Reconstruction(use, most).results()
    from aectl.data.codes.code_tables import read_codes
    from aectl.verbs.latent import decoded

    stdin = None if sys.stdin is None else sys.stdin.buffer
    codes = read_codes(from_codes, stdin, use.card.architecture.code_size)
    return contextlib.closing(decoded(use, codes, most))


def _write_rows(
    session: Session, use: "Use", out: Path | None, count: int | None, from_codes: Path | None
) -> int:
    """Writes the reconstruction of each input, or what the codes of a table decode to: as a table,
    or of text, on a terminal, as lines."""
    from aectl.outputs import text_rows as texts
    from aectl.outputs.rows import Rows, finite_rows
    from aectl.outputs.tables import Table, check_destination

    check_destination(out, session.common.overwrite)
    seen, modality = 0, use.modality
    with _results(use, count, from_codes) as results:
        if modality.lined and out is None and sys.stdout.isatty():
            for result in results:
                shown = modality.shown(use.card, result)
                show(("\n" if seen else "") + texts.to_text(shown.columns))
                seen += len(result.paths)
        else:
            with Table(out, for_tables()) as table:
                for result in session.console.counted(results, "reconstructing", modality.noun):
                    shown = modality.shown(use.card, result)
                    rows = Rows(dict(shown.columns), shown.vectors)
                    table.write(finite_rows(rows, session.outcome.on_bad))
                seen = table.count
    return session.outcome.status(seen) if from_codes else session.status(use, seen)


def _check(codes: list[object], inputs: bool, separate: bool, each: Path | None) -> None:
    """Raises ConfigError for options that cannot be combined."""
    given = [name for name, value in zip(FROM_CODES, codes, strict=True) if value is not None]
    if len(given) > 1:
        raise ConfigError(f"give one of {', '.join(FROM_CODES)}; {' and '.join(given)} given")
    if not given:
        return
    if separate:
        raise ConfigError(f"--separate cannot go with {given[0]}, which has no inputs to show")
    if each is not None and given[0] != "--from-codes":
        raise ConfigError(f"--each cannot go with {given[0]}")
    if inputs and given[0] != "--traverse":
        raise ConfigError(f"{given[0]} itself names what is decoded; leave out INPUT")


def _pictures(out: Path | None, separate: bool, overwrite: bool) -> list[Path]:
    """The files that pictures are written to. Raises OutputError if they cannot be."""
    if out is None:
        return []
    paths = [out]
    if separate:
        paths = [out.with_stem(f"{out.stem}-{which}") for which in ("inputs", "outputs")]
    for path in paths:
        if path.suffix.lower() != ".png":
            raise OutputError(f"{path}: the picture must be a .png file")
        refuse_existing(path, overwrite)
    return paths


def _save(paths: list[Path], pictures: "list[Image]") -> None:
    from aectl.outputs.pictures import save_png

    for path, picture in zip(paths, pictures, strict=False):
        save_png(path, picture)
        show_path(path)
