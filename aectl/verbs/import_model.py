"""Models of other programs, made models of aectl."""

import os
from dataclasses import dataclass
from pathlib import Path

from aectl.errors import OutputError
from aectl.files import refuse_existing
from aectl.models import model_file
from aectl.verbs.hub import located_source


@dataclass(frozen=True)
class Imported:
    """The model file that was written, and notes on what it does not use of the source."""

    model: Path
    notes: tuple[str, ...]


def import_model(
    source: "str | os.PathLike[str]",
    out: "str | os.PathLike[str]",
    *,
    like: "str | os.PathLike[str] | None" = None,
    overwrite: bool = False,
) -> Imported:
    """Writes the model file `out` from a model that another program trained.

    >>> imported = aectl.import_model("sae", "imported.safetensors")
    >>> print(imported.model, imported.notes)
    imported.safetensors ('cfg.json: not used: l1_coefficient',)

    `source`, a path or a URL: a folder of SAELens, sparsify or dictionary_learning; or, with a
    config file that says what it is `like`, a state dict of a dense autoencoder in safetensors.

    Raises aectl.errors.ModelFileError for a source that no model of aectl is equal to.
    """
    from aectl.models.imported import recognition

    destination = Path(out)
    refuse_existing(destination, overwrite)
    place = located_source(source)
    _refuse_own(destination, [place, *([] if like is None else [Path(like)])])
    found = recognition.read(place, None if like is None else Path(like))
    card, network = found.card(os.fspath(source)), found.network()
    model_file.save(destination, network, card)
    return Imported(destination, found.notes)


def _refuse_own(out: Path, read: list[Path]) -> None:
    """Raises OutputError if the model file would replace a file that is read."""
    files = [file for one in read for file in (one.iterdir() if one.is_dir() else (one,))]
    if out.exists() and any(file.exists() and out.samefile(file) for file in files):
        raise OutputError(f"--out {out} is a file that is imported: name another")
