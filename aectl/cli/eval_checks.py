"""Checks of `aectl eval` before it measures: models, options, and the files that it writes."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from aectl.cli.session import on_stdout
from aectl.config import run_files
from aectl.errors import ConfigError, ModelFileError, OutputError
from aectl.files import refuse_existing

if TYPE_CHECKING:
    from aectl.models.model_card import ModelCard


def card_of(path: Path, first: bool) -> "ModelCard":
    """The card of a model. Raises ModelFileError, which names --dataset after the first model."""
    from aectl.verbs.evaluate import read_any_card

    try:
        return read_any_card(path)
    except ModelFileError as error:
        if first or path.suffix == ".safetensors" or (path / run_files.CHECKPOINT_FOLDER).is_dir():
            raise
        raise ModelFileError(f"{error}; images to measure are given by --dataset") from error


def check_options(
    models: list[Path],
    dataset: list[str] | None,
    per_image: Path | None,
    per_column: Path | None,
    sort: bool,
    match: bool,
    as_json_or_csv: list[bool],
    twice: bool,
    calibrating: list[str],
) -> None:
    """Raises ConfigError for options that cannot be combined; each model reads the inputs named
    by `calibrating`."""
    if all(as_json_or_csv):
        raise ConfigError("give either --json or --csv, not both")
    if per_image and on_stdout(per_image) is None and any(as_json_or_csv):
        raise ConfigError("--per-image -, --json and --csv all use stdout; give --per-image a file")
    if sort and not per_image:
        raise ConfigError("--sort needs --per-image FILE, the table that it sorts")
    if match and len(models) == 1:
        raise ConfigError("--match compares two models or more")
    for flag, given in {"--per-image": per_image, "--per-column": per_column}.items():
        if given and len(models) > 1:
            raise ConfigError(f"{flag} measures one model; several are given")
    if dataset and "-" in dataset and (twice or len(models) > 1):
        raise ConfigError(
            "paths on stdin can be read once; several models, --pca, --probe and --detect read them"
            " again"
        )
    if "-" in calibrating and len(models) > 1:
        raise ConfigError(
            "paths on stdin can be read once; each model reads those of --normal and --fit-to again"
        )


def check_files(
    path: Path | None, map_by: str, written: Sequence[Path | None], overwrite: bool
) -> None:
    """Raises ConfigError or OutputError if the report, or a table, could not be written."""
    from aectl.outputs.tables import check_destination

    for table in written:
        check_destination(table, overwrite)
    if path is None:
        if map_by != "pca":
            raise ConfigError("--map needs --report FILE, the page that it draws in")
        return
    if path.suffix.lower() not in (".html", ".htm"):
        raise OutputError(f"{path}: the report must be a .html file")
    refuse_existing(path, overwrite)
