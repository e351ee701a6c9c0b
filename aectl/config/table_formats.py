"""The formats of tables by extension: a new one is a new row, with a class and a function.

The rows name them, so that the options can list the formats before any library is loaded.
"""

from pathlib import Path
from typing import NamedTuple

IDS = ".ids.parquet"
"""The end of the name of the table beside an array, with the path and the label of each row."""


class TableFormat(NamedTuple):
    """A format: the class that writes tables, `outputs.formats.Format`, and the function that reads
    the codes in one, of a path and the bytes that it may expand to, as `data.codes` has them.
    """

    writer: str
    reader: str


TABLE_FORMATS = {
    ".csv": TableFormat("aectl.outputs.formats:Csv", "aectl.data.codes.code_lines:of_csv"),
    ".csv.gz": TableFormat("aectl.outputs.formats:CsvGz", "aectl.data.codes.code_lines:of_csv_gz"),
    ".jsonl": TableFormat(
        "aectl.outputs.formats:JsonLines", "aectl.data.codes.code_lines:of_json_lines"
    ),
    ".parquet": TableFormat(
        "aectl.outputs.assembled_formats:Parquet", "aectl.data.codes.code_frames:of_parquet"
    ),
    ".npz": TableFormat(
        "aectl.outputs.assembled_formats:Npz", "aectl.data.codes.code_arrays:of_npz"
    ),
    ".npy": TableFormat(
        "aectl.outputs.assembled_formats:Npy", "aectl.data.vectors.array_codes:of_array"
    ),
    ".safetensors": TableFormat(
        "aectl.outputs.assembled_formats:Safetensors", "aectl.data.vectors.array_codes:of_array"
    ),
}


def ids_of(array: Path) -> Path:
    """The table beside an array: `codes.npy.ids.parquet` of `codes.npy`."""
    return array.with_name(array.name + IDS)
