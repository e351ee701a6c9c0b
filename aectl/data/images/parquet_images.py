"""Images in Parquet as Hugging Face writes it: a column of structures of `bytes` and `path`, and
one of labels, whose names are in the metadata of the file."""

import base64
import binascii
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aectl.config.spelling import spelt
from aectl.data.codes.table_content import TableError
from aectl.data.found import Found
from aectl.data.frame_process import rows_apart
from aectl.data.images.table_columns import USUAL_LABELS, LabelColumn, there
from aectl.data.storage.expansion import LARGEST_MEMBER, TOO_LARGE
from aectl.data.storage.objects import local_copy
from aectl.data.storage.parquet_footer import (
    BYTES,
    PATH,
    Footer,
    Leaf,
    RowGroup,
    image_column_of,
    read_footer,
)
from aectl.data.storage.tar_headers import clean
from aectl.data.storage.tars import LONGEST_NAME

if TYPE_CHECKING:
    from polars import DataFrame, Series

MEMORY = 2 << 30
"""Bytes of memory, beside the size of the file, in which it is read: the largest images take
several times their own."""

PIECE, MOST_ROWS = 32 << 20, 4096
"""Bytes of a row group, about, and rows that are read at a time."""

ROWS = "aectl.data.images.parquet_images:image_rows"

NO_BYTES = "its row holds no bytes of an image"


def has_labels(path: str, labels: LabelColumn = USUAL_LABELS) -> bool:
    """Whether a file is Parquet with images and labels."""
    try:
        columns = read_footer(path, groups=False).columns
        return image_column_of(columns) is not None and _label_of(columns, labels) is not None
    except (TableError, OSError):
        return False


def in_parquet(
    path: str, labels: LabelColumn = USUAL_LABELS, room: Path | None = None
) -> Iterator[Found]:
    """The images of a Parquet file, row by row, with their labels.

    Each is named by its own path behind that of the file, or by its row, counted from 0, where it
    has none, or has that of a row before. A file that is damaged, or lacks a column, is found with
    a reason, after its readable rows; one at a URL is copied to the folder `room` as long as it is
    read.
    """
    try:
        with local_copy(path, room) as file:
            labelled = has_labels(file, labels)
            memory = MEMORY + os.stat(file).st_size
            for (name, label, reason), content in rows_apart(ROWS, Path(file), memory, *labels):
                yield Found(
                    f"{path}/{name}", label, path, content, reason, member=name,
                    from_table=labelled,
                )  # fmt: skip
    except (TableError, OSError) as error:
        said = error.strerror if isinstance(error, OSError) else str(error)
        yield Found(path, reason=f"cannot be read as Parquet with images: {said or repr(error)}")


def image_rows(
    path: str, asked: str | None, before: str | None
) -> Iterator[list[tuple[Any, bytes]]]:
    """The name, the label and the reason why it cannot be read of each image, with its bytes; for
    `rows_apart`. `asked` and `before`: those of `LabelColumn`. Raises TableError."""
    footer = read_footer(path)
    image = image_column_of(footer.columns)
    if image is None:
        raise TableError(
            f"it has no column of images; {there([one.name for one in footer.columns])}"
        )
    label = _label_of(footer.columns, LabelColumn(asked, before))
    classes = class_names(path).get(label or "", ())
    named = set[int]()
    for first, frame in frames(path, footer, [image, label] if label else [image]):
        labels = labels_of(frame[label], classes) if label else [None] * len(frame)
        fields = frame[image].struct
        paths = fields.field(PATH).to_list() if PATH in fields.fields else [None] * len(frame)
        yield [
            _row(content, _name(given, row, named), of)
            for row, (content, given, of) in enumerate(
                zip(fields.field(BYTES), paths, labels, strict=True), first
            )
        ]


def _label_of(columns: Sequence[Leaf], labels: LabelColumn) -> str | None:
    return labels.among(plain_columns(columns))


def plain_columns(columns: Sequence[Leaf]) -> list[str]:
    """The names of the columns that hold no structures."""
    return [one.name for one in columns if not one.fields]


def frames(path: str, footer: Footer, columns: Sequence[str]) -> Iterator[tuple[int, "DataFrame"]]:
    """Some columns of a Parquet file, piece by piece, each with the number of its first row.

    Raises TableError where there are fewer rows than the footer says.
    """
    import polars

    for first, count in _pieces(footer):
        some = polars.scan_parquet(path, use_statistics=False).slice(first, count)
        frame = some.select(columns).collect()
        if len(frame) < count:
            raise TableError("it is damaged: it has fewer rows than its footer says")
        yield first, frame


def _pieces(footer: Footer) -> Iterator[tuple[int, int]]:
    """The first row, and the number of rows, of each piece of the file that is read at a time."""
    first = 0
    for group in footer.groups:
        for start in range(0, group.rows, step := _step(group)):
            yield first + start, min(step, group.rows - start)
        first += group.rows


def _step(group: RowGroup) -> int:
    """Rows of a row group that are read at a time: each time, all of it is looked at."""
    return max(1, min(MOST_ROWS, PIECE * group.rows // max(1, group.size)))


def _name(given: str | None, row: int, named: set[int]) -> str:
    """The name of a row; `named` has digests of the paths that name others."""
    path = clean(given or "")
    if not path or path.isdecimal() or len(path) > LONGEST_NAME or hash(path) in named:
        return str(row)
    named.add(hash(path))
    return path


def _row(content: bytes | None, name: str, label: str | None) -> tuple[Any, bytes]:
    reason = NO_BYTES if content is None else TOO_LARGE if len(content) > LARGEST_MEMBER else None
    return (name, label, reason), b"" if reason else content or b""


def labels_of(column: "Series", classes: Sequence[str]) -> list[str | None]:
    """The labels of a column: of whole numbers, the names of the classes, where there are any, and
    none of a number below 0, which stands for an unknown class. Raises TableError."""
    import polars

    kind = column.dtype
    if kind.is_integer():
        return [_class(number, classes) for number in column.to_list()]
    plain = polars.Boolean, polars.String, polars.Categorical, polars.Null
    if kind.is_numeric() or kind in plain or isinstance(kind, polars.Enum):
        return [None if one is None else spelt(str(one)) for one in column.to_list()]
    raise TableError(f"its column {column.name} holds no labels, but {kind}")


def _class(number: int | None, classes: Sequence[str]) -> str | None:
    if number is None or number < 0:
        return None
    return classes[number] if number < len(classes) else str(number)


def class_names(path: str) -> dict[str, list[str]]:
    """The names of the classes of each column, as Hugging Face's `datasets` writes them: as
    metadata of the file, or of its Arrow schema alone."""
    import polars

    metadata = polars.read_parquet_metadata(path)
    written = metadata.get("huggingface") or _in_arrow_schema(metadata.get("ARROW:schema", ""))
    try:
        features = json.loads(written)["info"]["features"]
        return {
            name: [spelt(str(one)) for one in feature["names"]]
            for name, feature in features.items()
            if isinstance(feature, dict) and isinstance(feature.get("names"), list)
        }
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def _in_arrow_schema(encoded: str) -> str:
    """The JSON in the metadata of an Arrow schema; empty if there is none."""
    try:
        schema = base64.b64decode(encoded)
        start = schema.find(b'{"info"')
        text = schema[start:].decode("utf-8", "replace") if start >= 0 else ""
        return text[: json.JSONDecoder().raw_decode(text)[1]] if text else ""
    except (ValueError, binascii.Error, RecursionError):
        return ""
