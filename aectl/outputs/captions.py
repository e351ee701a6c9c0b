"""What pictures and pages call an input: as little of its path as tells it from the others."""

from collections import Counter
from collections.abc import Sequence


def distinguished(paths: Sequence[str]) -> list[str]:
    """The shortest end of each path that no other path has, in whole folders and names.

    A mere number, as of an image in a dataset, has what it is a number of before it.
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
