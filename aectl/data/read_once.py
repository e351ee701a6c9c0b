"""Inputs that are read once, however often and by whatever names they are named."""

import os
from collections import defaultdict

from aectl.data.found import Found


class ReadOnce:
    """A record of the inputs that were read: files by their real path, members of archives and
    arrays of files also by their name in it, and others by their entry in a table.

    `repeated`: the number of inputs that were found again.
    """

    def __init__(self) -> None:
        self.repeated = 0
        self._members = defaultdict[str, set[str]](set)

    def takes(self, found: Found) -> bool:
        """Whether an input is to be read: if it was not found before, or cannot be read."""
        if found.reason is not None:
            return True
        place = os.path.realpath(found.file) if found.file else found.path
        before = self._members.get(place, ())
        # a file without the name of an array is its only one
        if found.member in before or "" in before or (before and not found.member):
            self.repeated += 1
            return False
        self._members[place].add(found.member)
        return True
