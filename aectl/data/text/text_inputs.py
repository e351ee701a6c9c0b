"""Text, one line per input: in files, in folders, on stdin, and in the datasets known by name."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, NamedTuple

from aectl.config.encodings import conversion, way_to_utf_8, wide
from aectl.config.spelling import shell_word
from aectl.data.found import Found
from aectl.data.lines import numbered
from aectl.data.named_inputs import NamedInputs
from aectl.data.selection import Selection
from aectl.data.shares import listing
from aectl.data.sources import Names, Source, SourceKind
from aectl.data.storage.folders import OnBad, Walk, WalkedOnce
from aectl.data.storage.objects import local_copies
from aectl.data.text.text_datasets import TEXTS, find
from aectl.errors import Alike, DataError
from aectl.files import opened

LABELLED = ".tsv"

ENDINGS = (".txt", LABELLED)
"""Extensions of text files; in a .tsv file, each line is a label, a tab, and the text."""

EVERY_TEXT = Selection(ENDINGS)

TEXT = Names(TEXTS, endings=ENDINGS)
"""The words that name text."""

OF_STDIN = "stdin"
"""The name of stdin in a table."""

PEEKED = 4096
"""Bytes at the start of a file in which none may be zero, except in UTF-16."""

NO_TEXT = f"is not UTF-8 text: it holds zero bytes; if it is UTF-16, {conversion('utf-16le')}"

NOT_UTF_8 = "is not UTF-8"


class Line(NamedTuple):
    """A line of text with its number, from 1, in a `file`; `reference`: a summary of it."""

    file: str
    number: int
    text: str
    label: str | None = None
    reference: str | None = None

    @property
    def path(self) -> str:
        """The entry in the `path` column of a table, such as `notes.txt:17`."""
        return f"{self.file}:{self.number}"


@dataclass
class LineCounts:
    """Counts of lines that were skipped because they are `empty`, and of lines that were `cut`
    because they have more tokens than the model reads.
    """

    empty: int = 0
    cut: int = 0


@dataclass(frozen=True)
class TextInputs(NamedInputs):
    """Text that the user named: files, folders, datasets, and `-` for stdin.

    `references`: whether each line is a text, a tab and its reference summary.
    """

    selection: Selection = EVERY_TEXT
    walk: Walk = field(default_factory=WalkedOnce)
    counts: LineCounts = field(default_factory=LineCounts)
    references: bool = False

    @property
    def labelled(self) -> bool:
        """Whether any input is of a kind that has labels."""
        return any(map(self._has_labels, self.sources))

    def _has_labels(self, source: Source) -> bool:
        if not source.is_folder:
            labelled = self.labels_from_folders and self.loose_labels
            named = labelled and source.kind in (SourceKind.FILE, SourceKind.ARCHIVE)
            return named or self._is_labelled(source.word)
        found = self.walk(source.word, self.selection, self.skipped)
        return self.labels_from_folders or any(self._is_labelled(one.path) for one in found)

    def _is_labelled(self, name: str) -> bool:
        """Whether each line of a file has a label before its text."""
        return name.lower().endswith(LABELLED) and not self.references

    def lines(self, on_bad: OnBad) -> Iterator[Line | None]:
        """All lines, in the order of the inputs; None before a line that may have to be waited for.

        `on_bad` is called for lines that are not text; empty lines are only counted. Raises
        DataError for a dataset that is not available.
        """
        for name, label, content in self._files(on_bad):
            try:
                yield from self._lines_of(name, label, content, on_bad)
            except DataError as error:
                on_bad(name, str(error))

    def listed(self) -> Iterator[tuple[str, int]]:
        """The name and the text of each line, with 1; of those that are not text, the name."""
        return listing(
            lambda on_bad: (line for line in self.lines(on_bad) if line is not None),
            lambda line: (f"{line.path}\0{line.text}", 1),
        )

    def _lines_of(
        self, name: str, label: str | None, content: BinaryIO, on_bad: OnBad
    ) -> Iterator[Line | None]:
        """The lines of a file. Raises DataError if the rest of it cannot be read."""
        bad = _BadLines(name, on_bad)
        for number, raw in numbered(content):
            if raw is None:
                yield None
                continue
            try:
                line = self._line(name, number, raw, label)
            except UnicodeDecodeError as error:
                bad.tell(number, NOT_UTF_8, _way_out(name, error))
            except DataError as error:
                bad.tell(number, str(error))
            else:
                if line is None:
                    self.counts.empty += 1
                else:
                    yield line

    def _line(self, name: str, number: int, raw: bytes, label: str | None) -> Line | None:
        """A line of a file; None for an empty one.

        Raises UnicodeDecodeError, or DataError for a line that is not text, or lacks what belongs
        before or after its tab.
        """
        text, reference = raw.decode("utf-8"), None
        if "\0" in text:
            raise DataError("is not text: it holds zero bytes")
        if not text.strip():
            return None
        if self.references:
            text, reference = _parted(text, "text", "reference")
            if not reference.strip():
                raise DataError("has no reference after its tab")
            if not text.strip():
                raise DataError("has no text before its tab")
        elif self._is_labelled(name):
            label, text = _parted(text, "label", "text")
            if text.strip() and not label.strip():
                raise DataError("has no label before its tab")
        return Line(name, number, text.strip(), label, reference) if text.strip() else None

    def _files(self, on_bad: OnBad) -> "Iterator[tuple[str, str | None, BinaryIO]]":
        """For each file its name, the label of its lines, and its content."""
        for source in self.sources:
            if source.kind is SourceKind.STDIN:
                assert self.stdin is not None
                yield OF_STDIN, None, self.stdin
            elif source.is_dataset and self.is_new(Found(source.called(self.split))):
                path = find(source.word, self.data_dir, self.split)
                with path.open("rb") as file:
                    yield source.called(self.split), None, file
            elif not source.is_dataset:
                yield from self._below(source, on_bad)

    def _below(self, source: Source, on_bad: OnBad) -> "Iterator[tuple[str, str | None, BinaryIO]]":
        found = (one for one in self.to_read(source, self.files_of(source)) if one is not None)
        for one in local_copies(found, self.data_dir):
            try:
                if one.reason:
                    raise OSError(0, one.reason)
                with opened(one.file) as file:
                    start = file.peek(PEEKED)[:PEEKED]
                    if b"\0" in start and not wide(start):
                        on_bad(one.path, NO_TEXT)
                    else:
                        yield self.naming(one.path), one.label, file
            except OSError as error:
                on_bad(one.path, error.strerror or str(error))


def _parted(line: str, first: str, second: str) -> tuple[str, str]:
    """The parts of a line before and after its tab. Raises DataError where there is none."""
    before, tab, after = line.partition("\t")
    if not tab:
        raise DataError(f"has no tab between its {first} and its {second}")
    return before, after


class _BadLines:
    """Reports the lines of a file that are left out: the first for each reason with a way out;
    further ones are only counted.
    """

    def __init__(self, name: str, on_bad: OnBad) -> None:
        self._name, self._on_bad = name, on_bad
        self._first: dict[str, int] = {}

    def tell(self, number: int, reason: str, way_out: str = "") -> None:
        """Reports that a line is left out."""
        first = self._first.setdefault(reason, number)
        alike = Alike(f"{reason}, like {self._name}:{first}")
        self._on_bad(f"{self._name}:{number}", alike if number > first else f"{reason}{way_out}")


def _way_out(name: str, error: UnicodeDecodeError) -> str:
    """The place where a line is not UTF-8, and how to convert its file."""
    file = "" if name == OF_STDIN else shell_word(name)
    return f", from byte {error.start + 1} on; {way_to_utf_8(error.object, file)}"
