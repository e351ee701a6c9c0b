"""Containers: files that hold several images, as a search of folders finds them: archives, and
Parquet."""

from collections.abc import Iterable, Iterator

from aectl.data.endings import PARQUET, TARS, ZIPS
from aectl.data.found import Found
from aectl.data.images.decode import is_own
from aectl.data.selection import Search
from aectl.data.storage.parquet_footer import image_column
from aectl.data.storage.urls import is_url

ENDINGS = (PARQUET, *TARS, *ZIPS)


def may_be_container(path: str) -> bool:
    """Whether a file has the extension of a container."""
    return path.lower().endswith(ENDINGS)


def is_container(path: str) -> bool:
    """Whether a file is an archive that can be read, or Parquet with images."""
    if not may_be_container(path):
        return False
    return not path.lower().endswith(PARQUET) or image_column(path) is not None


def holds_images(path: str, below: str, search: Search) -> bool:
    """Whether a file that a search meets, at the path `below` the folder, is a container whose
    images may be wanted, and which is not wanted by its own name; it is recorded as such.

    Patterns and extensions choose Parquet files, and not their rows.
    """
    chosen = search.selection
    if not (chosen.contained and may_be_container(path)):
        return False
    wanted = chosen.enters(below) and not chosen.takes(below)
    if not wanted or (path.lower().endswith(PARQUET) and not chosen.is_usual):
        return False
    if not is_container(path):
        return False
    search.containers[path] = below
    return True


def images_or_containers(found: Iterable[Found], search: Search) -> Iterator[Found]:
    """The files that a search found, but for containers, if there is any image beside them."""
    waiting, images = list[Found](), False
    for one in found:
        if images and not search.containers:
            yield one
            continue
        is_image = one.path not in search.containers and one.reason is None
        if not images and not (is_image and (is_url(one.file) or not is_own(one.file))):
            waiting.append(one)
            continue
        if not images:
            images = True
            yield from _without(waiting, search)
        yield from _without([one], search)
    if not images:
        yield from waiting


def _without(found: Iterable[Found], search: Search) -> Iterator[Found]:
    """The files that are no containers; a notice names those."""
    for one in found:
        below = search.containers.get(one.path)
        if below is None:
            yield one
        elif search.selection.is_usual:
            search.archives.append(below)
