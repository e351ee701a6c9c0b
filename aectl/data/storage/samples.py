"""Samples in a tar, as WebDataset has them: consecutive members whose names are equal up to their
first dot."""

from collections.abc import Iterator

from aectl.config.spelling import spelt
from aectl.data.found import Found

CLASS = ".cls"
"""The extension of the member that holds the class of a sample, in text."""

LARGEST_CLASS = 1024
"""Maximum bytes of a class."""

MOST_WAITING = 16
"""Files of a sample that wait for its class; the first of more have none."""


def with_classes(members: Iterator[Found]) -> Iterator[Found]:
    """The files of a tar, labelled with the classes of their samples, which may come before or
    after them; the members with the classes are left out."""
    key, label, waiting = "", None, list[Found]()
    try:
        for one in members:
            if (its := _key(one.path)) != key:
                yield from (found._replace(label=label) for found in waiting)
                key, label, waiting = its, None, []
            if one.path.lower().endswith(CLASS):
                label = _class(one) or label
                continue
            waiting.append(one)
            if len(waiting) > MOST_WAITING:
                yield waiting.pop(0)._replace(label=label)
    except Exception:  # of a damaged archive, after what it gave
        yield from (found._replace(label=label) for found in waiting)
        raise
    yield from (found._replace(label=label) for found in waiting)


def _key(path: str) -> str:
    folder, slash, name = path.rpartition("/")
    return folder + slash + name.partition(".")[0]


def _class(found: Found) -> str | None:
    """The class in a member; None if there is none that can be read."""
    try:
        return spelt((found.content or b"").decode().strip()) or None
    except UnicodeDecodeError:
        return None
