"""Captions of inputs in pictures and pages: as much of a path as is needed to distinguish it."""

from collections import Counter
from collections.abc import Sequence


def distinguished(paths: Sequence[str]) -> list[str]:
    """The shortest unique end of each path, in whole folders and names.

    If the name is only a number, as for images of a dataset, the component before it is included.
    """
    parts = [path.split("/") for path in paths]
    lengths = {path: 2 if path.rpartition("/")[2].isdigit() else 1 for path in paths}
    ends: dict[str, str] = {}
    while len(ends) < len(lengths):
        for path, of_path in zip(paths, parts, strict=True):
            ends[path] = "/".join(of_path[-lengths[path] :])
        shared = Counter(ends.values())
        for path in list(ends):
            if shared[ends[path]] > 1 and ends[path] != path:
                lengths[path] += 1
                del ends[path]
    return [ends[path] for path in paths]
