"""Samples in a tar, as WebDataset has them: consecutive members whose names are equal up to their
first dot.

The label of a sample is in text in its `.cls`, or in JSON under a key of its `.json`. A `.txt` is
by custom the caption of an image, which would make each image a class of its own; it is a label
only where it is asked for.
"""

import json
from collections.abc import Iterator

from aectl.config.spelling import spelt
from aectl.data.found import Found
from aectl.data.images.table_columns import LabelColumn

CLASS, CAPTION, JSON = ".cls", ".txt", ".json"
"""The extensions of members that may hold the label of a sample."""

LARGEST = {CLASS: 1024, CAPTION: 1024, JSON: 1 << 20}
"""Maximum bytes of such members."""

KEY = "label"
"""The key of the label in JSON, unless another is asked for."""

MOST_WAITING = 16
"""Files of a sample that wait for its label; the first of more have none."""


class SampleLabels:
    """Where the label of a sample is: in the member with the extension that is asked for, `cls` or
    `txt`, or under that key of its JSON; else in its class, or under the usual key."""

    def __init__(self, labels: LabelColumn) -> None:
        named = labels.asked or labels.before
        self.is_asked = labels.asked is not None
        self._endings: tuple[str, ...] = (CLASS, JSON)
        self._key = named or KEY
        if named is not None and f".{named}" in (CLASS, CAPTION):
            self._endings = (f".{named}",)
        elif named is not None:
            self._endings = (JSON,) if self.is_asked else (JSON, CLASS)

    def ending_of(self, path: str) -> str | None:
        """The extension of a member that may hold a label; None for any other."""
        lower = path.lower()
        return next((one for one in self._endings if lower.endswith(one)), None)

    def may_hold(self, path: str, size: int) -> bool:
        """Whether a member of so many bytes may hold a label."""
        ending = self.ending_of(path)
        return ending is not None and size <= LARGEST[ending]

    def label_of(self, texts: dict[str, bytes]) -> str | None:
        """The label in the members of a sample, by their extensions; None if there is none that
        can be read."""
        found = (self._read(one, texts[one]) for one in self._endings if one in texts)
        return next((label for label in found if label), None)

    def _read(self, ending: str, content: bytes) -> str | None:
        try:
            if ending != JSON:
                return spelt(content.decode().strip())
            label = json.loads(content)[self._key]
        except (ValueError, KeyError, TypeError, RecursionError):
            return None
        return spelt(str(label)) if isinstance(label, str | int | float) else None


def with_labels(members: Iterator[Found], labels: SampleLabels) -> Iterator[Found]:
    """The files of a tar, with the labels of their samples, which may come before or after them;
    the members with the labels are left out."""
    key, texts, waiting = "", dict[str, bytes](), list[Found]()

    def labelled() -> Iterator[Found]:
        label = labels.label_of(texts) if waiting else None
        for one in waiting:
            yield one._replace(label=label, from_table=labels.is_asked)

    try:
        for one in members:
            if (its := _key(one.path)) != key:
                yield from labelled()
                key, texts, waiting = its, {}, []
            if (ending := labels.ending_of(one.path)) is not None:
                texts[ending] = one.content or texts.get(ending, b"")
                continue
            waiting.append(one)
            if len(waiting) > MOST_WAITING:
                label = labels.label_of(texts)
                yield waiting.pop(0)._replace(label=label, from_table=labels.is_asked)
    except Exception:  # of a damaged archive, after what it gave
        yield from labelled()
        raise
    yield from labelled()


def _key(path: str) -> str:
    folder, slash, name = path.rpartition("/")
    return folder + slash + name.partition(".")[0]
